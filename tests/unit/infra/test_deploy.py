from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra import gateway
from infra.deploy import add_arguments, deploy, keep_failed_uploads, parameters
from infra.errors import DeployError
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:rollcall-prod-dead-letters"
FUNCTION = "rollcall-prod-verify_upload"
DOMAIN = "api.example.com"
STACK_WITH_A_DOMAIN = f"""
Parameters:
  Stage: {{Type: String}}
Resources:
  Queue: {{Type: AWS::SQS::Queue}}
Outputs:
  ApiDomainName: {{Value: {DOMAIN}}}
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


def make_function(target: Target) -> None:
    role = target.client("iam").create_role(
        RoleName="rollcall-prod-verify_upload", AssumeRolePolicyDocument="{}"
    )
    target.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime="python3.11",
        Role=role["Role"]["Arn"],
        Handler="app.verify_upload",
        Code={"ZipFile": b"not a zip"},
    )


def test_uploads_that_fail_go_to_the_queue_also_after_the_next_deployment(target: Target) -> None:
    make_function(target)
    keep_failed_uploads(target, QUEUE)
    keep_failed_uploads(target, QUEUE)
    client = target.client("lambda")
    (found,) = client.list_function_event_invoke_configs(FunctionName=FUNCTION)[
        "FunctionEventInvokeConfigs"
    ]
    assert found["MaximumRetryAttempts"] == 2
    assert found["MaximumEventAgeInSeconds"] == 21_600
    assert found["DestinationConfig"]["OnFailure"] == {"Destination": QUEUE}


class Hesitant(Target):
    """Lambda that has not heard of the role's new policy yet."""

    def __init__(self, refusals: int) -> None:
        super().__init__("prod", ENVIRON)
        object.__setattr__(self, "fake", FakeLambda(refusals))

    fake: "FakeLambda"

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.fake


class FakeLambda:
    class InvalidParameterValueException(ClientError):
        pass

    class ResourceConflictException(ClientError):
        pass

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.exceptions = self

    def put_function_event_invoke_config(self, **_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.InvalidParameterValueException(
                {"Error": {"Code": "InvalidParameterValueException", "Message": "no permission"}},
                "PutFunctionEventInvokeConfig",
            )


def test_a_policy_that_lambda_does_not_know_yet_is_waited_for() -> None:
    target, slept = Hesitant(refusals=2), list[float]()
    keep_failed_uploads(target, QUEUE, sleep=slept.append)
    assert target.fake.refusals == 0
    assert len(slept) == 2


def test_a_refusal_that_lasts_is_explained_after_a_bounded_time() -> None:
    slept: list[float] = []
    with pytest.raises(DeployError, match=r"dropped.*no permission"):
        keep_failed_uploads(Hesitant(refusals=1000), QUEUE, sleep=slept.append)
    assert sum(slept) <= 60


class Account(Target):
    """An account whose Lambda knows no function."""

    def client(self, service: str) -> Any:
        return EmptyLambda() if service == "lambda" else super().client(service)


class EmptyLambda:
    """What moto does not know: an account's settings."""

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"ConcurrentExecutions": 1000}}

    def get_function_configuration(self, **_: object) -> None:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetFunction")

    get_function_concurrency = get_function_configuration


def make_served_domain(target: Target) -> str:
    client = target.client("apigateway")
    api: str = client.create_rest_api(name="rollcall")["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    client.create_deployment(restApiId=api, stageName="prod")
    client.create_domain_name(domainName=DOMAIN)
    client.create_base_path_mapping(
        domainName=DOMAIN, basePath=gateway.ROOT, restApiId=api, stage="prod"
    )
    return api


def test_a_deployment_whose_stack_fails_leaves_the_domain_serving(
    target: Target, tmp_path: Path
) -> None:
    api = make_served_domain(target)
    target.client("cloudformation").create_stack(
        StackName="rollcall-prod",
        TemplateBody=STACK_WITH_A_DOMAIN,
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "prod"}],
    )
    asked = {"DomainName": "other.example.com", "Nothing": "fails the update"}
    lines: list[str] = []
    with pytest.raises(DeployError, match="no parameter Nothing"):
        deploy(Account("prod", ENVIRON, parameters=asked), work_dir=tmp_path, say=lines.append)
    assert gateway.mapping(target, DOMAIN) == (api, "prod")
    assert f"domain {DOMAIN}: serves the stage again" in lines


def test_only_options_that_are_given_become_parameters() -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["--stage", "prod", "--presence-bucket-seconds", "60"])
    assert parameters(given) == {"PresenceBucketSeconds": "60"}
    assert parameters(parser.parse_args(["--stage", "prod"])) == {}
    taken_away = parser.parse_args(["--stage", "prod", "--domain", ""])
    assert parameters(taken_away) == {"DomainName": ""}
    reserved = parser.parse_args(["--stage", "prod", "--reserved-concurrency", "run_jobs=2"])
    assert parameters(reserved) == {"ReservedConcurrency": "run_jobs=2"}
