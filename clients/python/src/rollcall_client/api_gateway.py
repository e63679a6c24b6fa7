"""What API Gateway says by itself where it knows no such stage or route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FORBIDDEN: Final = 403
_MESSAGES: Final = frozenset({"Missing Authentication Token", "Forbidden"})
# Where no route matches, API Gateway takes any `Authorization` for an AWS signature and complains
# of it. These messages quote the header, so they are recognized and never shown.
_OF_A_SIGNATURE: Final = (
    "Authorization header requires ",
    "key=value pair (missing equal-sign) in Authorization header",
)
_ERROR_TYPES: Final = ("MissingAuth", "Forbidden", "IncompleteSignature")

NO_ROUTE: Final = "API Gateway answers (HTTP 403), but it knows no such stage or route."


def knows_no_route(
    status: int, body: Mapping[str, object] | None, error_type: str | None = None
) -> bool:
    """Tell whether this is API Gateway's own refusal, which says nothing about a credential.

    Args:
        status: HTTP status.
        body: the JSON object of the answer, if it is one.
        error_type: its header `x-amzn-ErrorType`, where the caller has it.
    """
    if status != _FORBIDDEN:
        return False
    if (error_type or "").startswith(_ERROR_TYPES):
        return True
    if body is None or "code" in body:
        return False
    message = body.get("message")
    if not isinstance(message, str):
        return False
    return message in _MESSAGES or any(part in message for part in _OF_A_SIGNATURE)
