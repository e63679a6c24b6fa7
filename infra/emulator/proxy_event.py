"""Lambda proxy events (version 1.0) out of HTTP requests, and HTTP answers out of results."""

import base64
import binascii
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from infra.emulator.routing import Match
from infra.emulator.wire import Head

_NOT_FORWARDED = {
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# API Gateway owns these names and renames what a function sets under them.
_REMAPPED = {"connection", "content-length", "date", "server", "www-authenticate"}
_REMAPPED |= {"transfer-encoding", "upgrade", "host", "expect", "trailer", "te"}


class MalformedResultError(Exception):
    """The function's result is no proxy answer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came in; path (below the stage) and query are as they came."""

    api_id: str
    stage: str
    stage_variables: Mapping[str, str]
    account: str
    domain: str
    port: int
    peer: str
    request_id: str
    path: str
    query: str


def build_event(
    head: Head, body: bytes, match: Match, origin: Origin, *, binary: bool
) -> dict[str, Any]:
    """The event for one request.

    Args:
        head: Request line and headers.
        body: The body as it came.
        match: The route and its path parameters.
        origin: Where it came in.
        binary: Whether the content type is one of the API's binary media types.
    """
    headers, multi_headers = _headers(head, origin)
    single, multi = _query(origin.query)
    return {
        "resource": match.route.resource,
        "path": origin.path,
        "httpMethod": head.method,
        "headers": headers,
        "multiValueHeaders": multi_headers,
        "queryStringParameters": single or None,
        "multiValueQueryStringParameters": multi or None,
        "pathParameters": match.parameters or None,
        "stageVariables": dict(origin.stage_variables) or None,
        "requestContext": _context(head, match, origin, headers),
        "body": _text_body(body, binary=binary),
        "isBase64Encoded": bool(body) and binary,
    }


def is_binary(media_types: Sequence[str], header: str | None) -> bool:
    """Whether the first media type of a Content-Type or Accept header counts as binary."""
    if "*/*" in media_types:
        return True
    first = (header or "").split(",", 1)[0].split(";", 1)[0].strip().lower()
    return any(first == one.lower() for one in media_types)


def parse_result(
    payload: bytes, media_types: Sequence[str], accept: str | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body out of a function's result.

    Raises:
        MalformedResultError: API Gateway would answer 502.
    """
    try:
        result = json.loads(payload)
    except ValueError as error:
        raise MalformedResultError("no JSON") from error
    if not isinstance(result, dict) or "statusCode" not in result:
        raise MalformedResultError("no statusCode")
    try:
        status = int(result["statusCode"])
        headers = _result_headers(result)
        body = _result_body(result, media_types, accept)
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise MalformedResultError("wrong types") from error
    if not 100 <= status <= 599:  # noqa: PLR2004
        raise MalformedResultError("no HTTP status")
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return status, headers, body


def _headers(head: Head, origin: Origin) -> tuple[dict[str, str], dict[str, list[str]]]:
    multi: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    for name, value in head.headers:
        if name.lower() not in _NOT_FORWARDED:
            multi.setdefault(spelled.setdefault(name.lower(), name), []).append(value)
    added = {
        "X-Forwarded-For": origin.peer,
        "X-Forwarded-Port": str(origin.port),
        "X-Forwarded-Proto": "http",
    }
    for name, value in added.items():
        known = spelled.get(name.lower(), name)
        if name == "X-Forwarded-For" and known in multi:
            # The peer is appended, so only the last entry can be believed.
            value = ", ".join([*multi[known], value])  # noqa: PLW2901
        multi[known] = [value]
    return {name: values[-1] for name, values in multi.items()}, multi


def _query(query: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    multi: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            multi.setdefault(_decode(name), []).append(_decode(value))
    return {name: values[-1] for name, values in multi.items()}, multi


def _decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _text_body(body: bytes, *, binary: bool) -> str | None:
    if not body:
        return None
    if binary:
        return base64.b64encode(body).decode("ascii")
    return body.decode("utf-8", "replace")


def _context(
    head: Head, match: Match, origin: Origin, headers: Mapping[str, str]
) -> dict[str, Any]:
    now = time.time()
    agent = next((value for name, value in headers.items() if name.lower() == "user-agent"), None)
    return {
        "accountId": origin.account,
        "apiId": origin.api_id,
        "domainName": origin.domain,
        "domainPrefix": origin.api_id,
        "extendedRequestId": origin.request_id[:16],
        "httpMethod": head.method,
        "identity": {"sourceIp": origin.peer, "userAgent": agent},
        "path": f"/{origin.stage}{origin.path}",
        "protocol": head.version,
        "requestId": origin.request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": match.route.resource.strip("/").replace("/", "-")[:10] or "root",
        "resourcePath": match.route.resource,
        "stage": origin.stage,
    }


def _result_headers(result: dict[str, Any]) -> list[tuple[str, str]]:
    merged: dict[str, list[str]] = {}
    for name, values in (result.get("multiValueHeaders") or {}).items():
        merged[name] = [str(value) for value in values]
    for name, value in (result.get("headers") or {}).items():
        if str(value) not in merged.get(name, []):
            merged.setdefault(name, []).append(_scalar(value))
    headers = []
    for name, values in merged.items():
        remapped = name.lower() in _REMAPPED
        headers += [(f"x-amzn-Remapped-{name}" if remapped else name, value) for value in values]
    return headers


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TypeError("header value")
    return str(value)


def _result_body(result: dict[str, Any], media_types: Sequence[str], accept: str | None) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise TypeError("body")
    if result.get("isBase64Encoded") and is_binary(media_types, accept):
        return base64.b64decode(body, validate=True)
    return body.encode("utf-8", "surrogatepass")
