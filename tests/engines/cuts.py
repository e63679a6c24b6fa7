"""Cuts a function off its database in the middle of a request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from infra.emulator.http_server import Answer
from infra.emulator.wire import Head
from tests.engines.conflicts import Forward, operation_of


class Moment(Enum):
    """When: before the database has the request, while it works, or when it is about to answer."""

    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"


class Cutter:
    """Ends the connection of the n-th request that mentions one of some words.

    Args:
        forward: carries a request out.
        words: tell the requests that count.
        at: the first one is 1.
        moment: when it is cut.
        times: how many requests in a row are cut.
        besides: what else happens at that moment.
    """

    def __init__(
        self,
        forward: Forward,
        words: tuple[str, ...],
        *,
        at: int,
        moment: Moment,
        times: int = 1,
        besides: Callable[[], None] = lambda: None,
    ) -> None:
        self._forward = forward
        self._words = [word.encode() for word in words]
        self._cut = range(at, at + times)
        self._moment = moment
        self._besides = besides
        self._guard = threading.Lock()
        self._count = 0
        self._working: list[threading.Thread] = []
        self.struck: list[str] = []

    def answer(self, head: Head, body: bytes) -> Answer:
        """The answer to a request.

        Raises:
            OSError: it is cut.
        """
        if not any(word in body for word in self._words):
            return self._forward(head, body)
        with self._guard:
            self._count += 1
            if self._count not in self._cut:
                return self._forward(head, body)
            self.struck.append(operation_of(head))
        if self._moment is Moment.AFTER:
            self._forward(head, body)
        elif self._moment is Moment.INSIDE:
            work = threading.Thread(target=self._forward, args=(head, body))
            work.start()
            self._working.append(work)
        self._besides()
        raise ConnectionError("cut, on purpose")

    def settle(self) -> None:
        """Wait until the database has done what it was asked for."""
        for work in self._working:
            work.join()
