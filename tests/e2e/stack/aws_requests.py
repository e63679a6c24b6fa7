"""A look at, and a hand in, the AWS requests that the stage's functions make."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from infra.emulator.cloud import EmulatedCloud
from infra.emulator.functions import Function
from infra.emulator.http_server import Answer
from infra.emulator.wire import Head

NEVER = (500, [("Content-Type", "application/x-amz-json-1.0")], b"{}")
"""What a dead caller is told about a request that was not carried out."""


@dataclass(frozen=True)
class AwsRequest:
    """One request to an AWS service, before the service sees it."""

    method: str
    path: str
    service: str
    operation: str
    body: bytes


@contextmanager
def watching(cloud: EmulatedCloud, look: Callable[[AwsRequest], Answer | None]) -> Iterator[None]:
    """Call `look` for each request; what it returns is the answer, None lets the service work."""

    def intercept(head: Head, path: str, _query: str, body: bytes) -> Answer | None:
        service, _, operation = (head.get("x-amz-target") or "").rpartition(".")
        return look(AwsRequest(head.method, path, service, operation, body))

    for interceptors in cloud.interceptors:
        interceptors.insert(0, intercept)
    try:
        yield
    finally:
        for interceptors in cloud.interceptors:
            interceptors.remove(intercept)


class WorkerKiller:
    """Kills a function's workers at the n-th request to the database that mentions a word.

    Other functions tell other services of the same thing at the same time.

    Args:
        function: whose workers die.
        word: the requests that count hold it.
        at: the first one is 1.
        carried_out: whether the service still does what the dead worker asked for.
    """

    def __init__(self, function: Function, word: str, at: int, *, carried_out: bool) -> None:
        self._function = function
        self._word = word.encode()
        self._at = at
        self._carried_out = carried_out
        self._guard = threading.Lock()
        self._count = 0
        self.struck = ""

    def __call__(self, request: AwsRequest) -> Answer | None:
        """Look at one request."""
        if not request.service.startswith("DynamoDB_") or self._word not in request.body:
            return None
        with self._guard:
            self._count += 1
            if self._count != self._at:
                return None
            self.struck = request.operation
        kill_workers(self._function)
        return None if self._carried_out else NEVER


def kill_workers(function: Function) -> None:
    """SIGKILL all workers of a function."""
    for pid in function.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
