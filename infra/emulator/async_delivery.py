"""Asynchronous invocations: a queue, and Lambda's two retries."""

import heapq
import json
import logging
import threading
import time

from infra.emulator.functions import Functions, QueueTimeoutError

# Lambda waits one and two minutes; nobody learns anything from waiting here.
RETRY_DELAYS = (0.2, 0.5)
_THREADS = 4
_log = logging.getLogger("rollcall.emulator")


class AsyncDelivery:
    """Delivers events to functions in the background."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._due: list[tuple[float, int, str, bytes, int]] = []
        self._changed = threading.Condition()
        self._sequence = 0
        self._running = 0
        self._delivered = 0
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"async-delivery-{index}", daemon=True)
            for index in range(_THREADS)
        ]

    @property
    def delivered(self) -> int:
        """How many deliveries ended, whichever way."""
        return self._delivered

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        with self._changed:
            return not self._due and not self._running

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Forget what waits. Ends the threads once the functions are stopped as well."""
        with self._changed:
            self._stopped = True
            self._due = []
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(1)

    def send(self, function: str, event: object) -> None:
        """Queue an event; returns at once."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self._push(time.monotonic(), function, body, 0)

    def _push(self, when: float, function: str, body: bytes, attempt: int) -> None:
        with self._changed:
            if self._stopped:
                return
            self._sequence += 1
            heapq.heappush(self._due, (when, self._sequence, function, body, attempt))
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and not self._ready():
                    self._changed.wait(self._delay())
                if self._stopped:
                    return
                _, _, function, body, attempt = heapq.heappop(self._due)
                self._running += 1
            try:
                self._deliver(function, body, attempt)
            except Exception:  # noqa: BLE001 - a thread that ends would stop all deliveries
                _log.exception("delivery to %s failed", function)
            finally:
                with self._changed:
                    self._running -= 1
                    self._delivered += 1

    def _ready(self) -> bool:
        return bool(self._due) and self._due[0][0] <= time.monotonic()

    def _delay(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _deliver(self, name: str, body: bytes, attempt: int) -> None:
        function = self._functions.get(name)
        if function is None:
            return
        try:
            outcome = function.run(body)
        except QueueTimeoutError:
            return  # stopped or deleted
        if outcome.error is None:
            return
        if attempt < len(RETRY_DELAYS):
            self._push(time.monotonic() + RETRY_DELAYS[attempt], name, body, attempt + 1)
        else:
            _log.warning("%s failed on an event three times", name)
