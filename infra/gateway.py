"""What API Gateway answers by itself, said in the API's own words; its stage; its domain.

Importing the API, as every `chalice deploy` does, drops all gateway responses. They are therefore
put back, and the stage redeployed, after each one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_apigateway.type_defs import PatchOperationTypeDef

    from infra.console import Say
    from infra.target import Target

ROOT = "(none)"
"""API Gateway's name for the empty base path."""

# A stage-wide ceiling: 60,000 agents beat in a minute, and a flood costs a bounded sum.
RATE_LIMIT = 1000
BURST_LIMIT = 2000

# What these cost is hashing a password. The application hashes no more than 20 a second for the
# whole stage, and says so in its own words; this keeps what a flood sends from reaching it at all.
HASHING_ROUTES = (
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/v1/invitations/accept"),
)
# What these cost is a worker that waits for an identity provider; the application lets 20 a second.
ASKING_ROUTES = (
    ("GET", "/api/v1/auth/oidc/{organization_id}/start"),
    ("GET", "/api/v1/auth/oidc/{organization_id}/callback"),
)
HASHING_RATE_LIMIT = 25
HASHING_BURST_LIMIT = 50


@dataclass(frozen=True)
class Problem:
    """One kind of answer.

    Args:
        status: HTTP status.
        code: stable code, in the same list as the application's.
        title: short text for people.
        detail: longer text for people.
        retry_after: seconds after which trying again is right.
    """

    status: int
    code: str
    title: str
    detail: str
    retry_after: int | None = None


_NOT_FOUND = Problem(404, "route_not_found", "Not found", "There is no such route or method.")
_UNAVAILABLE = Problem(
    503, "unavailable", "Temporarily unavailable", "The service could not answer.", retry_after=5
)
_MISCONFIGURED = Problem(
    503, "unavailable", "Temporarily unavailable", "The service is not set up.", retry_after=60
)
_MALFORMED = Problem(400, "request_malformed", "The request is not valid", "It cannot be read.")
_REFUSED = Problem(403, "request_refused", "Not allowed", "The gateway refused the request.")

PROBLEMS: dict[str, Problem] = {
    # No route asks for an AWS signature, so every complaint about one means that no route
    # matched: API Gateway then looks for its own authentication, also in a bearer credential.
    "MISSING_AUTHENTICATION_TOKEN": _NOT_FOUND,
    "INVALID_SIGNATURE": _NOT_FOUND,
    "EXPIRED_TOKEN": _NOT_FOUND,
    "RESOURCE_NOT_FOUND": _NOT_FOUND,
    "UNAUTHORIZED": Problem(
        401, "gateway_unauthorized", "The gateway wants a credential", "It was not accepted."
    ),
    "ACCESS_DENIED": _REFUSED,
    "INVALID_API_KEY": _REFUSED,
    "WAF_FILTERED": _REFUSED,
    "BAD_REQUEST_BODY": _MALFORMED,
    "BAD_REQUEST_PARAMETERS": _MALFORMED,
    "DEFAULT_4XX": _MALFORMED,
    "REQUEST_TOO_LARGE": Problem(413, "body_too_large", "Too large", "The body is too large."),
    "UNSUPPORTED_MEDIA_TYPE": Problem(
        415, "content_type_unsupported", "Unsupported content type", "Send application/json."
    ),
    "THROTTLED": Problem(
        429, "too_many_requests", "Too many requests", "The API is at its limit.", retry_after=5
    ),
    "QUOTA_EXCEEDED": Problem(
        429, "too_many_requests", "Too many requests", "A quota is used up.", retry_after=60
    ),
    # Whatever the default (500, 502, 504): our fault is 503, and an agent comes back.
    "INTEGRATION_FAILURE": _UNAVAILABLE,
    "INTEGRATION_TIMEOUT": _UNAVAILABLE,
    "DEFAULT_5XX": _UNAVAILABLE,
    "API_CONFIGURATION_ERROR": _MISCONFIGURED,
    "AUTHORIZER_CONFIGURATION_ERROR": _MISCONFIGURED,
    "AUTHORIZER_FAILURE": _MISCONFIGURED,
}


def response(kind: str) -> dict[str, Any]:
    """The arguments of `PutGatewayResponse` for one kind, without the API's id."""
    problem = PROBLEMS[kind]
    body = {
        "type": f"urn:rollcall:error:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": "$context.requestId",
    }
    headers = {
        "gatewayresponse.header.Content-Type": "'application/problem+json'",
        "gatewayresponse.header.Cache-Control": "'no-store'",
    }
    if problem.retry_after is not None:
        headers["gatewayresponse.header.Retry-After"] = f"'{problem.retry_after}'"
    return {
        "responseType": kind,
        "statusCode": str(problem.status),
        "responseParameters": headers,
        "responseTemplates": {"application/json": json.dumps(body)},
    }


def finish_stage(target: Target, rest_api_id: str) -> None:
    """Put the gateway responses and limits, and deploy the stage with them."""
    client: APIGatewayClient = target.client("apigateway")
    for kind in PROBLEMS:
        client.put_gateway_response(restApiId=rest_api_id, **response(kind))
    client.create_deployment(
        restApiId=rest_api_id,
        stageName=target.stage,
        description="with the gateway responses of Rollcall",
    )
    client.update_stage(
        restApiId=rest_api_id,
        stageName=target.stage,
        patchOperations=[
            *_limits("/*/*", RATE_LIMIT, BURST_LIMIT),
            *(
                operation
                for method, path in (*HASHING_ROUTES, *ASKING_ROUTES)
                for operation in _limits(
                    f"/{path.replace('/', '~1')}/{method}", HASHING_RATE_LIMIT, HASHING_BURST_LIMIT
                )
            ),
        ],
    )


def tag(target: Target, rest_api_id: str) -> None:
    """Give the API the stage's tags; Chalice tags functions alone."""
    client: APIGatewayClient = target.client("apigateway")
    present = client.get_rest_api(restApiId=rest_api_id).get("tags", {})
    arn = f"arn:{target.partition}:apigateway:{target.region}::/restapis/{rest_api_id}"
    if gone := [key for key in present if key not in target.all_tags and key[:4] != "aws:"]:
        client.untag_resource(resourceArn=arn, tagKeys=gone)
    if present != target.all_tags:
        client.tag_resource(resourceArn=arn, tags=target.all_tags)


def _limits(method: str, rate: int, burst: int) -> list[PatchOperationTypeDef]:
    """The patches of one method's limits; slashes in its path are written as JSON pointers do."""
    return [
        {"op": "replace", "path": f"{method}/throttling/rateLimit", "value": str(rate)},
        {"op": "replace", "path": f"{method}/throttling/burstLimit", "value": str(burst)},
    ]


def map_domain(target: Target, rest_api_id: str, domain: str) -> None:
    """Make the whole domain serve the stage."""
    client: APIGatewayClient = target.client("apigateway")
    present = mapping(target, domain)
    if present is None:
        client.create_base_path_mapping(
            domainName=domain, basePath=ROOT, restApiId=rest_api_id, stage=target.stage
        )
    elif present != (rest_api_id, target.stage):
        client.update_base_path_mapping(
            domainName=domain,
            basePath=ROOT,
            patchOperations=[
                {"op": "replace", "path": "/restapiId", "value": rest_api_id},
                {"op": "replace", "path": "/stage", "value": target.stage},
            ],
        )


def unmap_domain(target: Target, domain: str) -> None:
    """Undo `map_domain`; API Gateway refuses to delete an API that a domain still serves."""
    if mapping(target, domain) is not None:
        target.client("apigateway").delete_base_path_mapping(domainName=domain, basePath=ROOT)


@contextmanager
def domain_released(target: Target, domain: str, *, say: Say) -> Iterator[None]:
    """Unmap the domain; map it again, as it was, if what is done meanwhile fails.

    A failed update leaves the domain in place, and the fleet still calls it.
    """
    served = mapping(target, domain)
    unmap_domain(target, domain)
    try:
        yield
    except BaseException:  # Also on Ctrl-C: nobody else would bring the fleet back.
        if served is not None:
            _map_again(target, served[0], domain, say)
        raise


def _map_again(target: Target, rest_api_id: str, domain: str, say: Say) -> None:
    try:
        map_domain(target, rest_api_id, domain)
    except ClientError as error:
        if error.response["Error"].get("Code") == "NotFoundException":
            say(f"domain {domain}: is gone and serves nothing any more")
        else:  # Why the update failed matters more, and is about to be said.
            say(f"domain {domain}: is NOT mapped and serves nothing; deploy again: {error}")
    else:
        say(f"domain {domain}: serves the stage again")


def mapping(target: Target, domain: str) -> tuple[str, str] | None:
    """The API and stage that the domain serves, if any."""
    client: APIGatewayClient = target.client("apigateway")
    for page in client.get_paginator("get_base_path_mappings").paginate(domainName=domain):
        for found in page.get("items", []):
            if found["basePath"] == ROOT:
                return found["restApiId"], found["stage"]
    return None
