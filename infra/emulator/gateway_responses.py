"""What API Gateway answers by itself, through the API's configured gateway responses."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z.]+)\}|([A-Za-z]+(?:\.[A-Za-z]+)*))")
_HEADER = "gatewayresponse.header."


@dataclass(frozen=True, slots=True)
class ConfiguredResponse:
    """One configured gateway response."""

    status: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gateway answers by itself."""

    kind: str
    status: int
    message: str
    exception: str


INVALID_SIGNATURE = "INVALID_SIGNATURE"
MISSING_AUTHENTICATION_TOKEN = Refusal(
    "MISSING_AUTHENTICATION_TOKEN",
    403,
    "Missing Authentication Token",
    "MissingAuthenticationTokenException",
)
_INCOMPLETE = "IncompleteSignatureException"


def unmatched(authorization: str | None) -> Refusal:
    """Why a request that matches no route is refused.

    API Gateway takes any `Authorization` for an AWS signature, and quotes it in what it says.
    """
    if authorization is None:
        return MISSING_AUTHENTICATION_TOKEN
    _, _, parameters = authorization.partition(" ")
    for one in filter(None, (part.strip() for part in parameters.split(","))):
        if "=" not in one:
            message = (
                f"'{one}' not a valid key=value pair (missing equal-sign) in Authorization "
                f"header: '{authorization}'."
            )
            return Refusal(INVALID_SIGNATURE, 403, message, _INCOMPLETE)
    wanted = ("Credential", "Signature", "SignedHeaders")
    message = " ".join(
        (
            *(f"Authorization header requires '{name}' parameter." for name in wanted),
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            f"Authorization={authorization.partition(' ')[0]}",
        )
    )
    return Refusal(INVALID_SIGNATURE, 403, message, _INCOMPLETE)


REQUEST_TOO_LARGE = Refusal(
    "REQUEST_TOO_LARGE",
    413,
    "HTTP content length exceeded 10485760 bytes.",
    "RequestTooLongException",
)
PAYLOAD_TOO_LARGE = Refusal("REQUEST_TOO_LARGE", 413, "Request Too Long", "RequestTooLongException")
THROTTLED = Refusal("THROTTLED", 429, "Too Many Requests", "TooManyRequestsException")
INTEGRATION_TIMEOUT = Refusal(
    "INTEGRATION_TIMEOUT", 504, "Endpoint request timed out", "IntegrationTimeoutException"
)
# A function that fails or answers nonsense has no response type of its own on AWS.
BAD_FUNCTION = Refusal("DEFAULT_5XX", 502, "Internal server error", "InternalServerErrorException")
BAD_REQUEST = Refusal("DEFAULT_4XX", 400, "Bad Request", "BadRequestException")


def render(
    refusal: Refusal, configured: Mapping[str, ConfiguredResponse], context: Mapping[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of a refusal.

    Args:
        refusal: What happened.
        configured: The API's gateway responses by type.
        context: Values of ``$context`` other than the error's own.
    """
    fallback = "DEFAULT_4XX" if refusal.status < 500 else "DEFAULT_5XX"  # noqa: PLR2004
    chosen = configured.get(refusal.kind) or configured.get(fallback) or ConfiguredResponse()
    values = {
        **{f"context.{key}": value for key, value in context.items()},
        "context.error.message": refusal.message,
        "context.error.messageString": json.dumps(refusal.message),
        "context.error.responseType": refusal.kind,
    }
    template = chosen.templates.get("application/json")
    kind, text = "application/json", template
    if template is None and chosen.templates:
        kind, text = next(iter(chosen.templates.items()))
    if text is None:
        text = '{"message":$context.error.messageString}'
    body = _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)
    headers = [("Content-Type", kind), ("x-amzn-ErrorType", refusal.exception)]
    for name, value in chosen.parameters.items():
        if name.startswith(_HEADER) and len(value) > 1 and value[0] == value[-1] == "'":
            header = name.removeprefix(_HEADER)
            headers = [one for one in headers if one[0].lower() != header.lower()]
            headers.append((header, value[1:-1]))
    return chosen.status or refusal.status, headers, body.encode()
