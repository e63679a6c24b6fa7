"""Throttles and time-outs in a share of DynamoDB's requests."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter

from infra.emulator.http_server import Answer
from infra.emulator.wire import Head
from tests.engines.conflicts import Forward, cancelled, error, operation_of


class Disturbances:
    """Forwards requests, but throttles some and leaves some without an answer.

    Args:
        forward: carries a request out.
        throttled: the share of the requests that are throttled.
        unanswered: the share that gets no answer; every other one of them is carried out.
        withheld_seconds: how long the caller is left waiting, longer than it does wait.
        seed: of the random numbers.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        throttled: float,
        unanswered: float,
        withheld_seconds: float,
        seed: int = 0,
    ) -> None:
        self._forward = forward
        self._throttled = throttled
        self._unanswered = unanswered
        self._withheld_seconds = withheld_seconds
        self._random = random.Random(seed)  # noqa: S311 - only has to be irregular
        self._guard = threading.Lock()
        self.met: Counter[str] = Counter()

    def answer(self, head: Head, body: bytes) -> Answer:
        """The answer to a request.

        Raises:
            OSError: there is none.
        """
        with self._guard:
            chance, way = self._random.random(), self._random.random()
            fate = self._fate(chance)
            self.met[fate] += 1
        if fate == "throttled":
            return _throttle(operation_of(head), body, way)
        if fate == "unanswered":
            if way < 0.5:
                self._forward(head, body)
            time.sleep(self._withheld_seconds)
            raise ConnectionError("no answer, on purpose")
        return self._forward(head, body)

    def _fate(self, chance: float) -> str:
        if chance < self._throttled:
            return "throttled"
        return "unanswered" if chance < self._throttled + self._unanswered else "passed"


def _throttle(operation: str, body: bytes, way: float) -> Answer:
    """A whole request is throttled in either of two ways, a transaction in a third."""
    if operation.startswith("Transact") and way < 0.5:
        first, *rest = json.loads(body)["TransactItems"]
        assert first
        return cancelled([{"Code": "ThrottlingError"}, *({"Code": "None"} for _ in rest)])
    if way < 0.75:
        return error("ProvisionedThroughputExceededException")
    return error("ThrottlingException")
