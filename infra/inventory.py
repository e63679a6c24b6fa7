"""What the account holds of the application, in the words of Chalice's deploy state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.target import APP_NAME

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

    from infra.target import Target

Entry = dict[str, Any]
Apis = Mapping[str, frozenset[str]]
"""REST APIs of this application, by id, with the names of their stages."""


def api_url(target: Target, rest_api_id: str) -> str:
    """The base URL that API Gateway gives a stage."""
    host = f"{rest_api_id}.execute-api.{target.region}.{target.dns_suffix}"
    return f"https://{host}/{target.stage}"


def live_apis(target: Target) -> Apis:
    """The account's REST APIs of this application; all stages' APIs bear the same name."""
    client: APIGatewayClient = target.client("apigateway")
    found = {}
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page.get("items", []):
            if api.get("name") == APP_NAME:
                stages = client.get_stages(restApiId=api["id"]).get("item", [])
                found[api["id"]] = frozenset(stage["stageName"] for stage in stages)
    return found


def discover(target: Target, functions: Iterable[str], bucket: str, api: str | None) -> list[Entry]:
    """What the account holds of the application, in the words of Chalice's state.

    Args:
        target: the stage.
        functions: those to look for, by Chalice's names.
        bucket: the stage's bucket.
        api: the REST API, if there is one.
    """
    found: list[Entry] = []
    for name in functions:
        found += role_of(target, name)
        found += _function(target, name, bucket)
    if api:
        url = f"{api_url(target, api)}/"
        found.append(_entry("rest_api", "rest_api", rest_api_id=api, rest_api_url=url))
    return found


def role_of(target: Target, name: str) -> list[Entry]:
    """The role of a function, if there is one."""
    role = target.role_name(name)
    client = target.client("iam")
    answer = unless_absent(lambda: client.get_role(RoleName=role))
    if answer is None:
        return []
    return [role_entry(name, answer["Role"]["Arn"], role)]


def role_entry(function: str, arn: str, name: str) -> Entry:
    """A function's role as Chalice's state has it."""
    return _entry(f"{function}_role", "iam_role", role_arn=arn, role_name=name)


def _function(target: Target, name: str, bucket: str) -> list[Entry]:
    physical = target.function_name(name)
    client = target.client("lambda")
    answer = unless_absent(lambda: client.get_function(FunctionName=physical))
    if answer is None:
        return []
    arn = answer["Configuration"]["FunctionArn"]
    found = [_entry(name, "lambda_function", lambda_arn=arn)]
    mappings = client.list_event_source_mappings(FunctionName=physical)["EventSourceMappings"]
    found += [
        _entry(
            f"{name}-dynamodb-event-source",
            "dynamodb_event",
            stream_arn=mapping["EventSourceArn"],
            event_uuid=mapping["UUID"],
            lambda_arn=arn,
        )
        for mapping in mappings
    ]
    rule = f"{target.stack_name}-{name}-event"
    events = target.client("events")
    if unless_absent(lambda: events.describe_rule(Name=rule)) is not None:
        found.append(_entry(f"{name}-event", "cloudwatch_event", rule_name=rule))
    notifications = target.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    found += [
        _entry(f"{name}-s3event", "s3_event", bucket=bucket, lambda_arn=arn)
        for wired in notifications.get("LambdaFunctionConfigurations", [])
        if wired["LambdaFunctionArn"] == arn
    ]
    return found


def unless_absent(call: Callable[[], Any]) -> Any:  # noqa: ANN401
    """What the call returns, or None where AWS says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        code = error.response["Error"].get("Code")
        if code in {"ResourceNotFoundException", "NoSuchEntity"}:
            return None
        raise


def _entry(name: str, kind: str, **values: str) -> Entry:
    return {"name": name, "resource_type": kind, **values}
