"""Where events are posted to: only what an operator asked for, over TLS, and nothing gets lost."""

import json
import re
from typing import Any

import boto3
import pytest

from infra import template
from infra.emulator.in_process import emulated_aws

DOCUMENT = template.load()
RESOURCES: dict[str, Any] = DOCUMENT["Resources"]
OWN = {
    "EventDestinationSecret",
    "EventDestinationConnection",
    "EventDestination",
    "EventDestinationRole",
    "EventDestinationRule",
    "UndeliveredEventsQueue",
    "UndeliveredEventsQueuePolicy",
    "UndeliveredEventsAlarm",
}


def test_without_a_url_there_is_none_of_it() -> None:
    conditional = {
        name for name, one in RESOURCES.items() if one.get("Condition") == "HasEventDestination"
    }
    assert conditional == OWN
    assert DOCUMENT["Conditions"]["HasEventDestination"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "EventDestinationUrl"}, ""]}]
    }
    assert DOCUMENT["Parameters"]["EventDestinationUrl"]["Default"] == ""


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("", True),
        ("https://siem.example.com/rollcall?x=1", True),
        ("http://siem.example.com/", False),
        ("https://", False),
        ("https://a b", False),
        ("ftp://x", False),
    ],
)
def test_a_url_is_https_or_nothing(url: str, taken: bool) -> None:
    pattern = DOCUMENT["Parameters"]["EventDestinationUrl"]["AllowedPattern"]
    assert (re.fullmatch(pattern, url) is not None) is taken


def test_the_secret_is_generated_and_only_referred_to() -> None:
    connection = RESOURCES["EventDestinationConnection"]["Properties"]
    key = connection["AuthParameters"]["ApiKeyAuthParameters"]
    assert connection["AuthorizationType"] == "API_KEY"
    assert key["ApiKeyValue"] == {"Fn::Sub": "{{resolve:secretsmanager:${EventDestinationSecret}}}"}
    secret = RESOURCES["EventDestinationSecret"]["Properties"]
    assert secret["GenerateSecretString"]["PasswordLength"] >= 43
    assert "SecretString" not in secret


def test_the_rule_takes_our_events_from_our_bus_retries_for_a_day_and_keeps_what_is_left() -> None:
    rule = RESOURCES["EventDestinationRule"]["Properties"]
    assert rule["EventBusName"] == {"Ref": "EventBus"}
    assert rule["EventPattern"] == {"source": ["rollcall"]}
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["EventDestination", "Arn"]}
    assert target["RetryPolicy"] == {
        "MaximumRetryAttempts": 185,
        "MaximumEventAgeInSeconds": 86_400,
    }
    assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["UndeliveredEventsQueue", "Arn"]}


def test_the_role_may_post_to_this_destination_and_nothing_else() -> None:
    role = RESOURCES["EventDestinationRole"]["Properties"]
    ((policy,), assumed) = role["Policies"], role["AssumeRolePolicyDocument"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": "events:InvokeApiDestination",
        "Resource": {"Fn::GetAtt": ["EventDestination", "Arn"]},
    }
    (trust,) = assumed["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    named, parts = trust["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert named.endswith(":${AWS::AccountId}:rule/${Rule}")
    rule = RESOURCES["EventDestinationRule"]["Properties"]["Name"]["Fn::Sub"]
    assert parts == {"Rule": {"Fn::Sub": f"rollcall-${{Stage}}/{rule}"}}
    assert "RoleName" not in role, "a name would need more than CAPABILITY_IAM"


def test_only_the_rule_may_send_to_its_queue() -> None:
    statements = RESOURCES["UndeliveredEventsQueuePolicy"]["Properties"]["PolicyDocument"]
    (allowed,) = [one for one in statements["Statement"] if one["Effect"] == "Allow"]
    assert allowed["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["EventDestinationRule", "Arn"]}}
    }
    assert json.dumps(statements).count("Allow") == 1


def test_the_emulated_cloud_makes_it() -> None:
    url = "https://siem.example.com/in"
    with emulated_aws():
        formation, events = boto3.client("cloudformation"), boto3.client("events")
        body = template.TEMPLATE.read_text("utf-8")

        def parameters(destination: str) -> Any:
            given = {"Stage": "dev", "EventDestinationUrl": destination}
            return [{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()]

        formation.create_stack(
            StackName="rollcall-dev", TemplateBody=body, Parameters=parameters(url),
            Capabilities=["CAPABILITY_IAM"],
        )  # fmt: skip
        (destination,) = events.list_api_destinations()["ApiDestinations"]
        assert destination["InvocationEndpoint"] == url
        (rule,) = events.list_rules(EventBusName="rollcall-dev")["Rules"]
        assert json.loads(rule["EventPattern"]) == {"source": ["rollcall"]}
        (target,) = events.list_targets_by_rule(Rule=rule["Name"], EventBusName="rollcall-dev")[
            "Targets"
        ]
        assert target["Arn"] == destination["ApiDestinationArn"]
        assert ":role/" in target["RoleArn"]
        assert target["DeadLetterConfig"]["Arn"].endswith(":rollcall-dev-undelivered-events")
        (stack,) = formation.describe_stacks(StackName="rollcall-dev")["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        secret = boto3.client("secretsmanager").get_secret_value(
            SecretId=outputs["EventDestinationSecretArn"]
        )
        assert len(secret["SecretString"]) == 64
