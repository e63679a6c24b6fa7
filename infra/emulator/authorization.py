"""What IAM would be asked about the requests of one access key; refused where it says no.

Only what a deployer calls is known, and anything else is an error, so that nothing passes unseen.
What CloudFormation does in the caller's name happens inside of moto and is not seen here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote

from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends

from infra.emulator.account import ACCOUNT, REGION
from infra.emulator.http_server import Answer
from infra.emulator.iam_policies import Use
from infra.emulator.wire import Head

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/[^/]+/[^/]+/(?P<service>[^/]+)/aws4_request")
_USER = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
_S3_SUBRESOURCES = {"notification": "BucketNotification"}
_LAMBDA: list[tuple[str, str, str]] = [
    ("GET", r"/2016-08-19/account-settings/?", "GetAccountSettings"),
    ("POST", r"/2015-03-31/functions", "CreateFunction"),
    ("GET", r"/2015-03-31/functions/([^/]+)", "GetFunction"),
    ("DELETE", r"/2015-03-31/functions/([^/]+)", "DeleteFunction"),
    ("GET", r"/2015-03-31/functions/([^/]+)/configuration", "GetFunctionConfiguration"),
    ("PUT", r"/2015-03-31/functions/([^/]+)/configuration", "UpdateFunctionConfiguration"),
    ("PUT", r"/2015-03-31/functions/([^/]+)/code", "UpdateFunctionCode"),
    ("GET", r"/2015-03-31/functions/([^/]+)/policy", "GetPolicy"),
    ("POST", r"/2015-03-31/functions/([^/]+)/policy", "AddPermission"),
    ("DELETE", r"/2015-03-31/functions/([^/]+)/policy/[^/]+", "RemovePermission"),
    ("GET", r"/2019-09-30/functions/([^/]+)/concurrency", "GetFunctionConcurrency"),
    ("PUT", r"/2017-10-31/functions/([^/]+)/concurrency", "PutFunctionConcurrency"),
    ("DELETE", r"/2017-10-31/functions/([^/]+)/concurrency", "DeleteFunctionConcurrency"),
    ("PUT", r"/2019-09-25/functions/([^/]+)/event-invoke-config", "PutFunctionEventInvokeConfig"),
    ("PUT", r"/2024-08-31/functions/([^/]+)/recursion-config", "PutFunctionRecursionConfig"),
    ("GET", r"/2017-03-31/tags/([^/]+)", "ListTags"),
    ("POST", r"/2017-03-31/tags/([^/]+)", "TagResource"),
    ("DELETE", r"/2017-03-31/tags/([^/]+)", "UntagResource"),
    ("GET", r"/2015-03-31/event-source-mappings", "ListEventSourceMappings"),
    ("POST", r"/2015-03-31/event-source-mappings", "CreateEventSourceMapping"),
    ("GET", r"/2015-03-31/event-source-mappings/([^/]+)", "GetEventSourceMapping"),
    ("PUT", r"/2015-03-31/event-source-mappings/([^/]+)", "UpdateEventSourceMapping"),
    ("DELETE", r"/2015-03-31/event-source-mappings/([^/]+)", "DeleteEventSourceMapping"),
]


class Authorization:
    """An interceptor of requests to AWS.

    Args:
        access_key: whose requests are looked at; all others pass.
        allows: IAM's decision.

    Attributes:
        uses: what was asked for, once each, in order.
    """

    def __init__(self, access_key: str, allows: Callable[[Use], bool]) -> None:
        self.uses: list[Use] = []
        self._access_key = access_key
        self._allows = allows
        self._guard = threading.Lock()

    def intercept(self, head: Head, path: str, query: str, body: bytes) -> Answer | None:
        """Refuse what is not allowed, in AWS's words."""
        found = _CREDENTIAL.search(head.get("authorization") or "")
        if found is None or found["key"] != self._access_key:
            return None
        service = found["service"]
        for use in _uses(service, head, unquote(path), query, body):
            with self._guard:
                if use not in self.uses:
                    self.uses.append(use)
            if not self._allows(use):
                return _refusal(service, use)
        return None


def _uses(service: str, head: Head, path: str, query: str, body: bytes) -> Iterator[Use]:
    if service == "sts":
        return iter(())  # GetCallerIdentity is everyone's.
    if service == "lambda":
        return _lambda(head.method, path, body)
    if service == "s3":
        return _s3(head.method, path, query)
    if service == "apigateway":
        return iter([Use(f"apigateway:{head.method}", f"arn:aws:apigateway:{REGION}::{path}")])
    if service in {"iam", "cloudformation"}:
        return _query(service, {key: values[0] for key, values in parse_qs(body.decode()).items()})
    operation = (head.get("x-amz-target") or "").rpartition(".")[2]
    return iter([Use(f"{service}:{operation}", _named(service, json.loads(body or b"{}")))])


def _lambda(method: str, path: str, body: bytes) -> Iterator[Use]:
    operation, found = _operation(method, path)
    asked = json.loads(body) if body and operation.startswith(("Create", "Update")) else {}
    name = found[1] if found.re.groups else asked.get("FunctionName", "")
    if "EventSourceMapping" in operation:
        yield _mapping(operation, name)
        return
    resource = _function(name) if name else "*"
    yield Use(f"lambda:{operation}", resource)
    if role := asked.get("Role"):
        yield Use("iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"})
    if asked.get("Tags"):
        yield Use("lambda:TagResource", resource)


def _operation(method: str, path: str) -> tuple[str, re.Match[str]]:
    for verb, pattern, operation in _LAMBDA:
        found = re.fullmatch(f"{pattern}/?", path)
        if verb == method and found is not None:
            return operation, found
    raise LookupError(f"unknown to the emulator: lambda {method} {path}")


def _mapping(operation: str, name: str) -> Use:
    if operation == "ListEventSourceMappings":
        return Use(f"lambda:{operation}", "*")
    if operation == "CreateEventSourceMapping":
        return Use(f"lambda:{operation}", "*", {"lambda:FunctionArn": _function(name)})
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{name}"
    known = lambda_backends[ACCOUNT][REGION]._event_source_mappings.get(name)  # noqa: SLF001
    return Use(
        f"lambda:{operation}", arn, {"lambda:FunctionArn": known.function_arn} if known else {}
    )


def _function(name: str) -> str:
    return name if name[:4] == "arn:" else f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def _s3(method: str, path: str, query: str) -> Iterator[Use]:
    bucket, _, key = path.strip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Get"}[method]
    for name, noun in _S3_SUBRESOURCES.items():
        if name in parse_qs(query, keep_blank_values=True):
            yield Use(f"s3:{verb}{noun}", arn)
            return
    if key:
        yield Use(f"s3:{verb}Object", f"{arn}/{key}")
    if method in {"GET", "HEAD"}:
        yield Use("s3:ListBucket", arn)  # without it, what is absent is 403 and not 404


def _query(service: str, asked: dict[str, str]) -> Iterator[Use]:
    operation = asked["Action"]
    if service == "cloudformation":
        name = asked["StackName"]
        own = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/id"
        yield Use(f"cloudformation:{operation}", name if name[:4] == "arn:" else own)
        return
    role = f"arn:aws:iam::{ACCOUNT}:role/{asked['RoleName']}"
    boundary = asked.get("PermissionsBoundary") or _boundary_of(asked["RoleName"])
    yield Use(f"iam:{operation}", role, {"iam:PermissionsBoundary": boundary} if boundary else {})
    if operation == "CreateRole" and "Tags.member.1.Key" in asked:
        yield Use("iam:TagRole", role)


def _boundary_of(name: str) -> str | None:
    """What a role that is there is bounded by."""
    roles = iam_backends[ACCOUNT]["aws"].roles.values()
    return next((role.permissions_boundary_arn for role in roles if role.name == name), None)


def _named(service: str, asked: dict[str, str]) -> str:
    """The ARN of what a request in JSON is about."""
    scope = f"arn:aws:{service}:{REGION}:{ACCOUNT}:"
    if service == "dynamodb":
        return f"{scope}table/{asked['TableName']}"
    if service == "events":
        return f"{scope}rule/{asked.get('Name') or asked['Rule']}"
    if service == "kms":
        key = asked["KeyId"]
        return key if key[:4] == "arn:" else f"{scope}key/of-{key.rpartition('/')[2]}"
    if service == "secretsmanager":
        return asked["SecretId"]  # IAM sees the bare name, of which no ARN is known yet
    raise LookupError(f"unknown to the emulator: {service}")


def _refusal(service: str, use: Use) -> Answer:
    message = (
        f"User: {_USER} is not authorized to perform: {use.action} on resource: {use.resource} "
        f"because no identity-based policy allows the {use.action} action"
    )
    if service in {"s3", "iam", "cloudformation"}:
        error = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        text = error if service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>"
        return 403, [("Content-Type", "text/xml")], text.encode()
    kind = "AccessDeniedException"
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)]
    text = json.dumps({"__type": kind, "message": message, "Message": message})
    return (403 if service in {"lambda", "apigateway"} else 400), headers, text.encode()
