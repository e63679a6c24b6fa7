"""Concurrent requests whose order is chosen, request to AWS by request to AWS.

Each request to the API has a thread of its own, and one of them runs at a time: up to the moment
before its next request to DynamoDB or S3 is sent. Who goes on from there is the caller's choice,
so a race is repeated exactly and shrinks like any other example. Between two such moments a real
worker would have nothing in common with the others, except what Chalice keeps on the app: that is
put aside with the thread.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chalicelib import runtime
from chalicelib.store.connection import connection
from tests.functional.api import Answer

_STUCK_SECONDS = 60
_TO_ITS_END = 10_000


class _Request:
    """One request under way.

    A worker's thread pool, of one thread, goes on in its place: the request itself waits for it.
    """

    def __init__(self, act: Callable[[], Answer]) -> None:
        self._act = act
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.outcome: Answer | BaseException | None = None

    def go_on(self) -> None:
        """Let it run until it pauses or ends."""
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        if not self._paused.acquire(timeout=_STUCK_SECONDS):
            raise TimeoutError("a request neither sends anything nor ends")

    def pause(self) -> None:
        """Wait for its turn; in the thread that is about to send something."""
        from app import app

        kept = app.current_request, app.lambda_context, os.environ
        self._paused.release()
        self._go.acquire()
        app.current_request, app.lambda_context, os.environ = kept

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.outcome = self._act()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever runs the race
            self.outcome = error
        finally:
            self._paused.release()


@contextmanager
def _pausing(under_way: list[_Request]) -> Iterator[None]:
    """Let whoever is under way pause before each request to DynamoDB or S3."""

    def pause(**_: Any) -> None:
        under_way[0].pause()

    now = runtime.current()
    clients: list[tuple[str, Any]] = [
        ("before-send.dynamodb", connection().client),
        ("before-send.s3", now.bucket._client),
        ("before-send.s3", now.copying_bucket._client),
    ]
    for event, client in clients:
        client.meta.events.register_first(event, pause)
    try:
        yield
    finally:
        for event, client in clients:
            client.meta.events.unregister(event, pause)


Order = Sequence[tuple[int, int]]
"""Who goes on, counted among the unfinished, and for how many requests to AWS."""


def interleave(acts: Sequence[Callable[[], Answer]], order: Order) -> list[Answer]:
    """Run requests at once, in turns; when `order` is used up, one after the other to its end."""
    environment = os.environ
    requests = [_Request(act) for act in acts]
    under_way = requests[:1]
    try:
        with _pausing(under_way):
            for which, times in order:
                if unfinished := [request for request in requests if request.outcome is None]:
                    under_way[0] = unfinished[which % len(unfinished)]
                    _let(under_way[0], times)
            for request in requests:
                under_way[0] = request
                _let(request, _TO_ITS_END)
    finally:
        # Chalice's test client swaps it for each request, and puts back what was there before.
        os.environ = environment  # noqa: B003 - the very object is put back
    return [_answer(request) for request in requests]


def _let(request: _Request, times: int) -> None:
    for _ in range(times):
        if request.outcome is None:
            request.go_on()


def _answer(request: _Request) -> Answer:
    if isinstance(request.outcome, Answer):
        return request.outcome
    raise request.outcome or AssertionError("a request did not end")
