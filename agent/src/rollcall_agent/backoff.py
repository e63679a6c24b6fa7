"""Exponential backoff with full jitter, and what a server may ask for in Retry-After."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final

# A server (or a broken proxy) must not be able to put an agent to sleep for a year.
LONGEST_RETRY_AFTER: Final = 3600.0


@dataclass(frozen=True)
class Backoff:
    """How long to wait after the n-th failure in a row (n counts from 0)."""

    base: float = 1.0
    cap: float = 300.0

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait that the given attempt may draw."""
        # The exponent is bounded, because 2.0 ** 1024 is an OverflowError.
        return min(self.cap, self.base * 2.0 ** min(max(attempt, 0), 64))

    def delay(self, attempt: int, rng: Random, retry_after: float | None = None) -> float:
        """Draw a wait. Jitter comes on top of Retry-After, or a fleet would return as one."""
        return (retry_after or 0.0) + rng.uniform(0.0, self.ceiling(attempt))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After header, given in seconds or as an HTTP date.

    Args:
        value: The header's text, or None where there was none.
        now: The wall clock in seconds since the epoch.

    Returns:
        Seconds from now, never negative and bounded; None where it says nothing usable.
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # A longer number is over the bound anyway, and int() refuses absurd ones.
        return min(float(text[:12]), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        wait = date.timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER)
