import json
from collections.abc import Callable, Iterator
from types import MappingProxyType

import botocore.session
import pytest
from moto import mock_aws

from chalicelib.api.access import ROUTES
from infra import gateway
from infra.errors import DeployError
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def body(kind: str) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(
        gateway.response(kind)["responseTemplates"]["application/json"]
    )
    return parsed


def test_every_answer_that_api_gateway_can_give_is_ours() -> None:
    model = botocore.session.get_session().get_service_model("apigateway")
    kinds = model.shape_for("GatewayResponseType").metadata["enum"]
    assert set(gateway.PROBLEMS) == set(kinds)


@pytest.mark.parametrize("kind", sorted(gateway.PROBLEMS))
def test_each_is_a_problem_document_that_tells_the_truth(kind: str) -> None:
    answer = gateway.response(kind)
    document = body(kind)
    assert set(document) == MEMBERS
    assert document["type"] == f"urn:rollcall:error:{document['code']}"
    assert str(document["status"]) == answer["statusCode"]
    assert document["request_id"] == "$context.requestId"
    headers = answer["responseParameters"]
    assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


@pytest.mark.parametrize("kind", sorted(gateway.PROBLEMS))
def test_whoever_should_come_back_is_told_when(kind: str) -> None:
    answer = gateway.response(kind)
    waits = "gatewayresponse.header.Retry-After" in answer["responseParameters"]
    assert waits == (answer["statusCode"] in {"429", "503"})


def test_an_unknown_route_is_404_also_with_a_bearer_credential() -> None:
    for kind in ("MISSING_AUTHENTICATION_TOKEN", "INVALID_SIGNATURE", "RESOURCE_NOT_FOUND"):
        assert (body(kind)["status"], body(kind)["code"]) == (404, "route_not_found")


def test_our_fault_is_503() -> None:
    ours = [kind for kind, problem in gateway.PROBLEMS.items() if problem.status >= 500]
    assert {"INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"} <= set(ours)
    assert {gateway.PROBLEMS[kind].status for kind in ours} == {503}


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


def make_api(target: Target) -> str:
    client = target.client("apigateway")
    api: str = client.create_rest_api(name="rollcall")["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    client.create_deployment(restApiId=api, stageName="prod")
    return api


def test_finishing_a_stage_deploys_it_with_answers_and_limits(target: Target) -> None:
    api = make_api(target)
    client = target.client("apigateway")
    before = client.get_stage(restApiId=api, stageName="prod")["deploymentId"]
    gateway.finish_stage(target, api)
    gateway.finish_stage(target, api)
    items = client.get_gateway_responses(restApiId=api)["items"]
    assert {item["responseType"] for item in items} == set(gateway.PROBLEMS)
    stage = client.get_stage(restApiId=api, stageName="prod")
    assert stage["deploymentId"] != before
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == gateway.RATE_LIMIT


def test_the_routes_that_hash_passwords_or_ask_providers_have_narrower_limits(
    target: Target,
) -> None:
    api = make_api(target)
    gateway.finish_stage(target, api)
    stage = target.client("apigateway").get_stage(restApiId=api, stageName="prod")
    for method, path in (*gateway.HASHING_ROUTES, *gateway.ASKING_ROUTES):
        settings = stage["methodSettings"][f"{path.replace('/', '~1')}/{method}"]
        assert settings["throttlingRateLimit"] == gateway.HASHING_RATE_LIMIT
        assert settings["throttlingBurstLimit"] == gateway.HASHING_BURST_LIMIT


def test_the_routes_with_narrower_limits_are_routes() -> None:
    # API Gateway refuses limits for a method that the API has not.
    narrower = (*gateway.HASHING_ROUTES, *gateway.ASKING_ROUTES)
    assert {f"{method} {path}" for method, path in narrower} <= set(ROUTES)


def make_domain(target: Target) -> str:
    """A domain that serves something else below a path, which is nobody's business."""
    client = target.client("apigateway")
    client.create_domain_name(domainName="api.example.com")
    client.create_base_path_mapping(
        domainName="api.example.com", basePath="else", restApiId=make_api(target), stage="prod"
    )
    return "api.example.com"


def test_a_domain_is_mapped_once_and_follows_the_api(target: Target) -> None:
    domain, first, second = make_domain(target), make_api(target), make_api(target)
    assert gateway.mapping(target, domain) is None
    gateway.map_domain(target, first, domain)
    gateway.map_domain(target, first, domain)
    assert gateway.mapping(target, domain) == (first, "prod")
    gateway.map_domain(target, second, domain)
    assert gateway.mapping(target, domain) == (second, "prod")


def test_unmapping_a_domain_can_be_repeated(target: Target) -> None:
    domain, api = make_domain(target), make_api(target)
    gateway.map_domain(target, api, domain)
    gateway.unmap_domain(target, domain)
    gateway.unmap_domain(target, domain)
    assert gateway.mapping(target, domain) is None


def test_a_released_domain_stays_unmapped_when_the_update_succeeds(target: Target) -> None:
    domain, api = make_domain(target), make_api(target)
    gateway.map_domain(target, api, domain)
    with gateway.domain_released(target, domain, say=print):
        assert gateway.mapping(target, domain) is None
    assert gateway.mapping(target, domain) is None


@pytest.mark.parametrize("failure", [DeployError, KeyboardInterrupt])
def test_a_released_domain_serves_again_when_the_update_fails(
    target: Target, failure: type[BaseException]
) -> None:
    domain, api = make_domain(target), make_api(target)
    gateway.map_domain(target, api, domain)
    lines: list[str] = []
    with pytest.raises(failure), gateway.domain_released(target, domain, say=lines.append):
        raise failure
    assert gateway.mapping(target, domain) == (api, "prod")
    assert lines == [f"domain {domain}: serves the stage again"]


def test_a_domain_that_served_nothing_is_not_mapped_by_a_failure(target: Target) -> None:
    domain = make_domain(target)
    with pytest.raises(DeployError), gateway.domain_released(target, domain, say=print):
        raise DeployError("of the update")
    assert gateway.mapping(target, domain) is None


def fail_after(remove: Callable[..., object], **arguments: str) -> None:
    remove(**arguments)
    raise DeployError("of the update")


def test_a_failure_is_told_also_when_the_domain_is_gone(target: Target) -> None:
    domain, api = make_domain(target), make_api(target)
    gateway.map_domain(target, api, domain)
    lines: list[str] = []
    remove = target.client("apigateway").delete_domain_name
    with (
        pytest.raises(DeployError, match="of the update"),
        gateway.domain_released(target, domain, say=lines.append),
    ):
        fail_after(remove, domainName=domain)
    assert lines == [f"domain {domain}: is gone and serves nothing any more"]


def test_a_failure_is_told_also_when_the_domain_cannot_be_mapped_again(target: Target) -> None:
    domain, api = make_domain(target), make_api(target)
    gateway.map_domain(target, api, domain)
    lines: list[str] = []
    remove = target.client("apigateway").delete_rest_api
    with (
        pytest.raises(DeployError, match="of the update"),
        gateway.domain_released(target, domain, say=lines.append),
    ):
        fail_after(remove, restApiId=api)
    (line,) = lines
    assert "NOT mapped" in line
