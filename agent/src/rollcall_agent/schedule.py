"""When an agent beats: at a place in the interval that follows from its id.

Nothing is stored and nobody hands places out, yet a fleet is spread over the interval, and comes
back spread however many of its processes start, or find the network again, at the same instant.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

# What a back-off may reach where the interval is shorter.
LONGEST_BACKOFF: Final = 300.0
# Two beats of one agent are never closer than this part of the interval, whatever its clock does.
CLOSEST: Final = 0.1


@dataclass(frozen=True)
class Schedule:
    """The slots of one agent: the wall-clock times t with t mod interval = place * interval."""

    place: float

    @classmethod
    def of(cls, agent_id: str) -> Schedule:
        """Return the schedule that belongs to an id."""
        digest = hashlib.sha256(agent_id.encode()).digest()
        return cls(int.from_bytes(digest[:6]) / 2**48)

    def wait(self, now: float, interval: float, *, floor: float = 0.0, skip: int = 0) -> float:
        """Return the seconds until a slot of this agent.

        Args:
            now: The wall clock in seconds since the epoch.
            interval: The distance of two slots.
            floor: The earliest that is allowed, in seconds from now.
            skip: How many of the slots after that to leave out.
        """
        earliest = now + floor
        until_slot = (self.place * interval - earliest) % interval
        return floor + until_slot + skip * interval


def slots_skipped(failures: int, interval: float, longest: float = LONGEST_BACKOFF) -> int:
    """Return how many slots a failure leaves out: 0, 1, 3, 7, up to the longest back-off.

    Args:
        failures: How many failures in a row there were before this one.
        interval: The distance of two slots.
        longest: What the back-off may reach where the interval is shorter.
    """
    most = max(int(max(longest, interval) / interval) - 1, 0)
    doubled = 1 << min(max(failures, 0), 16)
    return min(doubled - 1, most)
