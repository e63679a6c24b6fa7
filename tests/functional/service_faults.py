"""EventBridge, SQS and S3 as they are when they are not well, below the SDK's own retries."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.retries.standard import RetryEventAdapter, StandardRetryConditions

_ENDPOINT = "https://service.invalid/"
_SDK_ATTEMPTS = 2


@dataclass(frozen=True)
class Trouble:
    """What a request meets: no connection, or an error in the service's place.

    Args:
        name: for the tests' names.
        status: of the answer; 0 where nobody answers.
        code: of the error.
        lost: the request is carried out, and its answer does not arrive.
    """

    name: str
    status: int = 0
    code: str = ""
    lost: bool = False

    def __str__(self) -> str:
        return self.name


REFUSED = Trouble("connection_refused")
LOST = Trouble("answer_lost", lost=True)
SERVER_ERROR = Trouble("server_error", 500, "InternalFailure")
UNAVAILABLE = Trouble("unavailable", 503, "ServiceUnavailable")
THROTTLED = Trouble("throttled", 400, "ThrottlingException")
DENIED = Trouble("access_denied", 400, "AccessDeniedException")
EXPIRED = Trouble("credentials_expired", 403, "ExpiredTokenException")
UNKNOWN_CLIENT = Trouble("credentials_unknown", 400, "UnrecognizedClientException")
NO_BUS = Trouble("no_bus", 400, "ResourceNotFoundException")
OUTAGES = (
    REFUSED, LOST, SERVER_ERROR, UNAVAILABLE, THROTTLED, DENIED, EXPIRED, UNKNOWN_CLIENT, NO_BUS,
)  # fmt: skip


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@dataclass
class Met:
    """How many attempts were seen, and how many of them met the trouble."""

    seen: int = 0
    struck: int = 0
    _losing: set[int] = field(default_factory=set)


def _at_once(**event: Any) -> float | None:
    """The SDK's own verdict whether to try again, without its pause."""
    retryable = StandardRetryConditions(max_attempts=_SDK_ATTEMPTS).is_retryable(
        RetryEventAdapter().create_retry_context(**event)
    )
    return 0.0 if retryable else None


@contextmanager
def troubled(
    client: Any, operation: str, trouble: Trouble, *, first: int = 1, times: int = 10_000
) -> Iterator[Met]:
    """Let the attempts of an operation meet trouble, from the `first` on, `times` all."""
    met = Met()

    def before(request: Any, **_: Any) -> AWSResponse | None:
        met.seen += 1
        if not first <= met.seen < first + times:
            return None
        met.struck += 1
        if trouble.lost:
            met._losing.add(id(request))
            return None
        if not trouble.status:
            raise EndpointConnectionError(endpoint_url=_ENDPOINT)
        # An address that the emulator does not serve, so that nothing is carried out.
        request.url = _ENDPOINT
        body = json.dumps({"__type": trouble.code, "message": "for a while"}).encode()
        return AWSResponse(_ENDPOINT, trouble.status, HTTPHeaders(), _Raw(body))

    def after(request: Any, **_: Any) -> None:
        if id(request) in met._losing:
            met._losing.discard(id(request))
            raise ReadTimeoutError(endpoint_url=_ENDPOINT)

    service = client.meta.service_model.service_id.hyphenize()
    name = f"before-send.{service}.{operation}"
    events = client.meta.events
    events.register_first(f"needs-retry.{service}", _at_once)
    events.register_first(name, before)
    # Moto is a handler of the bare event: what comes after it has to be there too.
    events.register_last("before-send", after)
    try:
        yield met
    finally:
        events.unregister(f"needs-retry.{service}", _at_once)
        events.unregister(name, before)
        events.unregister("before-send", after)


Verdict = Callable[[dict[str, Any]], str | None]
"""The error code for an event, or None where EventBridge takes it."""


@contextmanager
def partly_refused(client: Any, verdict: Verdict) -> Iterator[list[str]]:
    """Let EventBridge take some entries of each request and not others; yields the codes."""
    refusals: list[list[str | None]] = []
    codes: list[str] = []

    def before(request: Any, **_: Any) -> None:
        body = json.loads(request.body)
        verdicts = [verdict(json.loads(entry["Detail"])) for entry in body["Entries"]]
        refusals.append(verdicts)
        taken = [
            entry for entry, code in zip(body["Entries"], verdicts, strict=True) if code is None
        ]
        request.body = json.dumps({**body, "Entries": taken}).encode()

    def after(parsed: dict[str, Any], **_: Any) -> None:
        verdicts = refusals.pop()
        taken = iter(parsed["Entries"])
        parsed["Entries"] = [
            next(taken) if code is None else {"ErrorCode": code, "ErrorMessage": "not now"}
            for code in verdicts
        ]
        found = [code for code in verdicts if code is not None]
        parsed["FailedEntryCount"] = len(found)
        codes.extend(found)

    events = client.meta.events
    events.register_first("before-send.eventbridge.PutEvents", before)
    events.register("after-call.eventbridge.PutEvents", after)
    try:
        yield codes
    finally:
        events.unregister("before-send.eventbridge.PutEvents", before)
        events.unregister("after-call.eventbridge.PutEvents", after)
