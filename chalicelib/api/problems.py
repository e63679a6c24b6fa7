"""Errors as problem details (RFC 9457), rendered in one place."""

from typing import Any

import msgspec
from chalice import Response

from chalicelib.errors import DomainError, MethodNotAllowed, Wait

_NO_STORE = {"Cache-Control": "no-store"}


def problem(error: DomainError, request_id: str) -> Response:
    """The answer to a refused or failed request, with `Retry-After` where waiting helps."""
    body: dict[str, Any] = {
        "type": f"urn:rollcall:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        **error.extra,
    }
    headers = {"Content-Type": "application/problem+json", **_NO_STORE}
    if isinstance(error, Wait):
        headers["Retry-After"] = str(error.seconds)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)  # RFC 9110, section 15.5.6 wants it
    if error.status == 401:  # noqa: PLR2004 - RFC 9110, section 11.6.1 wants the challenge
        headers["WWW-Authenticate"] = 'Bearer realm="rollcall"'
    return Response(msgspec.json.encode(body).decode(), headers, error.status)


def answer(
    body: dict[str, Any], status: int = 200, *, headers: dict[str, str] | None = None
) -> Response:
    """A plain answer. Nothing of ours may be kept by a cache on the way."""
    sent = {"Content-Type": "application/json", **_NO_STORE, **(headers or {})}
    return Response(msgspec.json.encode(body).decode(), sent, status)
