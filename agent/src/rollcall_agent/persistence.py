"""An identity that is not on disk yet: tried again for as long as the process lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from rollcall_agent.backoff import Backoff
from rollcall_agent.clock import Clock
from rollcall_agent.identity_file import CannotWriteError
from rollcall_agent.say import Say

AT_FIRST: Final = (0.5, 1.0, 1.5, 2.0, 2.0, 3.0)
LATER: Final = Backoff(base=30.0, cap=900.0)

Write = Callable[[], None]


@dataclass
class Persistence:
    """Writes what could not be written, as soon as that is possible."""

    clock: Clock
    rng: Random
    say: Say

    def __post_init__(self) -> None:
        self._write: Write | None = None
        self._failures = 0
        self._not_before = 0.0

    @property
    def is_owed(self) -> bool:
        """Whether the identity lives in memory alone."""
        return self._write is not None

    def owe(self, write: Write) -> None:
        """Take a write that has just failed, and repeat it for some seconds before giving way."""
        self._write, self._failures = write, 0
        for delay in AT_FIRST:
            self.clock.sleep(delay)
            if self._try(write):
                return
        self.say.warn(
            "the identity lives in memory alone, and a restart would lose it. Next: make room or "
            "restore write access to the env file; it is tried again until that works"
        )
        self._put_off()

    def settle(self) -> None:
        """Try again, if it is time."""
        if self._write is not None and self.clock.monotonic() >= self._not_before:
            if self._try(self._write):
                return
            self._put_off()

    def _try(self, write: Write) -> bool:
        try:
            write()
        except CannotWriteError:
            return False
        self._write = None
        self.say.result("The identity is in the env file now; a restart keeps it.")
        return True

    def _put_off(self) -> None:
        # The floor keeps a full disk from being hammered by a lucky draw.
        delay = max(LATER.delay(self._failures, self.rng), 5.0)
        self._failures += 1
        self._not_before = self.clock.monotonic() + delay
