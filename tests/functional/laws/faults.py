"""Disturbs the requests of the shared DynamoDB client, below the SDK's own retries.

The first handler of `before-send` runs before the emulator's and before anything is sent to an
engine: so a request can be stopped, answered in DynamoDB's place, or carried out and its answer
lost. Pauses of the SDK between its attempts are left out; its verdict whether to try
again is its own.
"""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.hooks import first_non_none_response
from botocore.retries.standard import RetryEventAdapter, StandardRetryConditions

from chalicelib.store.connection import connection

SDK_ATTEMPTS = 3
ALWAYS = 10_000
_ENDPOINT = "https://dynamodb.invalid/"
Body = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What happens to a request: `answer` makes DynamoDB's answer of the request's body."""

    name: str
    dropped: bool = False
    lost: bool = False
    answer: Callable[[Body], tuple[int, Body]] | None = None

    def __str__(self) -> str:
        return self.name


def _error(code: str, status: int = 400) -> Callable[[Body], tuple[int, Body]]:
    return lambda _: (status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}"})


def cancelled(reasons: Callable[[Body], list[Body]]) -> Callable[[Body], tuple[int, Body]]:
    """A cancelled transaction with these reasons."""
    kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    return lambda body: (400, {"__type": kind, "CancellationReasons": reasons(body)})


def _one_reason(code: str) -> Callable[[Body], list[Body]]:
    return lambda body: [{"Code": code}, *({"Code": "None"} for _ in body["TransactItems"][1:])]


def _conflict(body: Body) -> tuple[int, Body]:
    if "TransactItems" in body:
        return cancelled(_one_reason("TransactionConflict"))(body)
    return _error("TransactionConflictException")(body)


def _short_of_capacity(body: Body) -> tuple[int, Body]:
    if "TransactItems" in body:
        return cancelled(_one_reason("ThrottlingError"))(body)
    return _error("ProvisionedThroughputExceededException")(body)


DROPPED = Fault("dropped", dropped=True)
LOST = Fault("answer_lost", lost=True)
CONFLICT = Fault("transaction_conflict", answer=_conflict)
IN_PROGRESS = Fault("transaction_in_progress", answer=_error("TransactionInProgressException"))
THROTTLED = Fault("throttled", answer=_error("ThrottlingException"))
SHORT_OF_CAPACITY = Fault("short_of_capacity", answer=_short_of_capacity)
SERVER_ERROR = Fault("server_error", answer=_error("InternalServerError", 500))
DENIED = Fault("access_denied", answer=_error("AccessDeniedException"))
OF_A_WRITE = (DROPPED, LOST, CONFLICT, IN_PROGRESS, THROTTLED, SHORT_OF_CAPACITY, SERVER_ERROR)
OF_A_READ = (DROPPED, LOST, THROTTLED, SHORT_OF_CAPACITY, SERVER_ERROR)


def _binary(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@dataclass
class Meeting:
    """Which attempts meet something: the `first` one that matches, and how many from there on."""

    first: int = 1
    times: int = 1
    on: str | None = None
    seen: int = 0

    def with_(self, operation: str) -> bool:
        """Count an attempt and say whether it is met."""
        if self.on not in (None, operation):
            return False
        self.seen += 1
        return self.first <= self.seen < self.first + self.times


@dataclass
class _Injector:
    client: Any
    fault: Fault
    meeting: Meeting
    _carrying: threading.local = field(default_factory=threading.local)

    def before(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if getattr(self._carrying, "out", False):
            return None
        if not self.meeting.with_(event_name.rsplit(".", 1)[1]):
            return None
        if self.fault.dropped:
            raise ConnectTimeoutError(endpoint_url=_ENDPOINT)
        if self.fault.lost:
            self._carry_out(request, event_name)
            raise ReadTimeoutError(endpoint_url=_ENDPOINT)
        if self.fault.answer is None:
            return None
        status, body = self.fault.answer(json.loads(request.body))
        # An address that the emulator does not serve, so that nothing is carried out.
        request.url = _ENDPOINT
        return AWSResponse(
            _ENDPOINT, status, HTTPHeaders(), _Raw(json.dumps(body, default=_binary).encode())
        )

    def _carry_out(self, request: Any, event_name: str) -> None:
        """What botocore would do now: ask the other handlers, and send what none has answered."""
        self._carrying.out = True
        try:
            answers = self.client.meta.events.emit(event_name, request=request)
            if first_non_none_response(answers) is None:
                self.client._endpoint.http_session.send(request)
        finally:
            self._carrying.out = False


def _retried_at_once(**event: Any) -> float | None:
    retryable = StandardRetryConditions(max_attempts=SDK_ATTEMPTS).is_retryable(
        RetryEventAdapter().create_retry_context(**event)
    )
    return 0.0 if retryable else None


@contextmanager
def injected(
    fault: Fault, *, first: int = 1, times: int = 1, on: str | None = None
) -> Iterator[Meeting]:
    """Let a fault meet the `first` attempt (of an operation) and those that follow, `times` all."""
    meeting = Meeting(first, times, on)
    client = connection().client
    injector = _Injector(client, fault, meeting)
    events: Any = client.meta.events
    events.register_first("needs-retry.dynamodb", _retried_at_once)
    events.register_first("before-send.dynamodb", injector.before)
    try:
        yield meeting
    finally:
        events.unregister("needs-retry.dynamodb", _retried_at_once)
        events.unregister("before-send.dynamodb", injector.before)


@contextmanager
def interleaved(
    other: Callable[[], Any], *, first: int = 1, on: str | None = None
) -> Iterator[list[Any]]:
    """Let something else happen just before an attempt is sent; yields what came of it."""
    from app import app

    meeting = Meeting(first, 1, on)
    outcome: list[Any] = []

    def happen(event_name: str, **_: Any) -> None:
        if not outcome and meeting.with_(event_name.rsplit(".", 1)[1]):
            outcome.append(None)  # What happens sends requests too.
            # Chalice has neither before its first request.
            request, context = (
                getattr(app, n, None) for n in ("current_request", "lambda_context")
            )
            outcome[0] = other()
            app.current_request, app.lambda_context = request, context

    events = connection().client.meta.events
    events.register_first("before-send.dynamodb", happen)
    try:
        yield outcome
    finally:
        events.unregister("before-send.dynamodb", happen)


@contextmanager
def changed_answer(
    operation: str, change: Callable[[dict[str, Any]], None], *, first: int = 1, times: int = 1
) -> Iterator[Meeting]:
    """Change what DynamoDB answered: how an index lags, or a read is torn by a transaction."""
    meeting = Meeting(first, times)

    def alter(parsed: dict[str, Any], **_: Any) -> None:
        if meeting.with_(operation):
            change(parsed)

    events = connection().client.meta.events
    events.register(f"after-call.dynamodb.{operation}", alter)
    try:
        yield meeting
    finally:
        events.unregister(f"after-call.dynamodb.{operation}", alter)
