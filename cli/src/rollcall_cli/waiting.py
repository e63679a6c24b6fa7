"""Looking again and again, politely, until a time is over."""

from __future__ import annotations

from typing import Final

from rollcall_cli.clock import Clock

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
_GROWTH: Final = 1.3


class Waiting:
    """The pauses between looks: short ones first, because most things are over soon.

    Args:
        clock: what passes the time.
        timeout: seconds until it gives up.
    """

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._deadline = clock.monotonic() + timeout
        self._pause = FIRST_PAUSE

    def another_round(self) -> bool:
        """Wait a while; whether there is time to look once more."""
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            return False
        self._clock.sleep(min(self._pause, left))
        self._pause = min(LONGEST_PAUSE, self._pause * _GROWTH)
        return True

    def hurry(self) -> None:
        """Something moved: look more often again."""
        self._pause = FIRST_PAUSE
