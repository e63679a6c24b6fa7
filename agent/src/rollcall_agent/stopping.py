"""Waiting and asking in a way that SIGTERM ends within a second.

A signal does not interrupt a name lookup in C, and raising from a handler may strike anywhere. So
requests run in a thread of their own while the main thread waits for whatever comes first: the
answer, the signal, or the end of its patience.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import ANSWER_SECONDS, CONNECT_SECONDS, Call, Caller

GRACE_SECONDS: Final = 0.5
# On Windows Ctrl-C does not end a wait for a lock; the handler runs between two waits.
LONGEST_WAIT: Final = 1.0 if sys.platform == "win32" else threading.TIMEOUT_MAX
# Ctrl-Break, and the closing of the console, on Windows; nobody sends SIGTERM there.
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
# All of a call's own timeouts in a row; beyond it only a hanging name lookup is left.
PATIENCE_SECONDS: Final = CONNECT_SECONDS + 2 * ANSWER_SECONDS


class StopRequestedError(Exception):
    """SIGTERM or SIGINT arrived."""


class PatienceEndedError(NoAnswerError):
    """Nobody waits any more for a request that still goes on in its thread."""


@dataclass(frozen=True)
class _Outcome:
    """What a request's thread brings back; the ticket tells late ones from the current one."""

    ticket: object
    answer: Answer | None
    error: Exception | None


class Stopper:
    """A clock whose waits end when the process is asked to stop."""

    def __init__(self, longest_wait: float = LONGEST_WAIT) -> None:
        self._longest_wait = longest_wait
        # SimpleQueue.put is reentrant, which makes it the one queue that a handler may use.
        self._mailbox: queue.SimpleQueue[_Outcome | None] = queue.SimpleQueue()
        self._stopped = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals that ask a process to stop, for the length of the block."""
        before = [signal.signal(number, lambda *_: self.stop()) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)

    def stop(self) -> None:
        """Ask to stop, from a signal handler or anywhere else."""
        self._stopped = True
        self._mailbox.put(None)

    def now(self) -> float:
        """Return the wall clock in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return a clock that never goes back, for deadlines."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, or raise StopRequestedError as soon as that is asked for."""
        self._receive(object(), seconds)
        if self._stopped:
            raise StopRequestedError

    def ask(self, question: Callable[[], Answer], patience: float) -> Answer:
        """Run a request.

        Raises:
            StopRequestedError: The process was asked to stop, before or meanwhile.
            NoAnswerError: It took too long.
        """
        if self._stopped:
            raise StopRequestedError
        ticket = object()
        # A daemon, so that a hanging name lookup cannot hold up the end of the process.
        threading.Thread(target=self._work, args=(ticket, question), daemon=True).start()
        outcome = self._receive(ticket, patience)
        if self._stopped:
            # What is on its way may finish; its answer would change nothing any more.
            self._receive(ticket, 0.0 if outcome else GRACE_SECONDS)
            raise StopRequestedError
        if outcome is None:
            raise PatienceEndedError("no answer in time")
        if outcome.error is not None:
            raise outcome.error
        if outcome.answer is None:
            raise NoAnswerError("the request ended without an answer")
        return outcome.answer

    def _work(self, ticket: object, question: Callable[[], Answer]) -> None:
        try:
            self._mailbox.put(_Outcome(ticket, question(), None))
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self._mailbox.put(_Outcome(ticket, None, error))

    def _receive(self, ticket: object, seconds: float) -> _Outcome | None:
        """Return this ticket's outcome, or None after the given time or on a request to stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self._mailbox.get(timeout=min(left, self._longest_wait))
            except queue.Empty:
                continue
            if message is None or message.ticket is ticket:
                return message
        return None


@dataclass(frozen=True)
class StoppableCaller:
    """Puts calls through another caller, and lets go of them when asked to stop.

    Attributes:
        renew: Takes from a request that took too long what it holds on to.
        patience: How long a request may take altogether.
    """

    inner: Caller
    stopper: Stopper
    renew: Callable[[], None] = lambda: None
    patience: float = PATIENCE_SECONDS

    def call(self, call: Call) -> Answer:
        """Send a request and wait for its answer; raise NoAnswerError where none came."""
        try:
            return self.stopper.ask(lambda: self.inner.call(call), self.patience)
        except PatienceEndedError:
            self.renew()
            raise
