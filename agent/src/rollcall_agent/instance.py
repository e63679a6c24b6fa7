"""Which run of the agent this is, so that the control plane can tell a restart from a copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from rollcall_agent.clock import Clock

# More than any clock drifts between two beats, and less than anybody suspends a machine for.
LARGEST_DRIFT: Final = 10.0


class Instance:
    """A random name, drawn anew where this process may no longer be the only one that has it."""

    def __init__(self, mint: Callable[[], str], clock: Clock) -> None:
        self._mint = mint
        self._clock = clock
        self._offset = self._measure()
        self.name = mint()

    def look(self) -> None:
        """Draw anew where the two clocks moved apart since the last look.

        They do so when the machine was suspended, or restored from a snapshot. The same process
        then beats on with a name that a later start of it, or the machine that the snapshot was
        taken of, has made the past: exactly what a clone looks like. A clock that was set does
        it too, which costs nothing but the look of a restart.
        """
        offset = self._measure()
        drifted = abs(offset - self._offset) > LARGEST_DRIFT
        # Compared from beat to beat: slow drift never adds up to a jump.
        self._offset = offset
        if drifted:
            self.renew()

    @property
    def fingerprint(self) -> str:
        """How the control plane names this instance to an operator: 16 hexadecimal digits."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    def renew(self) -> None:
        """Draw a new name."""
        self.name = self._mint()

    def _measure(self) -> float:
        return self._clock.now() - self._clock.monotonic()
