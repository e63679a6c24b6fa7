"""Times as an operator writes them on a command line."""

from __future__ import annotations

import re
import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str, now: int) -> int:
    """A time as RFC 3339 with its zone, or as how long ago: `90s`, `45m`, `26h`, `2d`.

    Args:
        text: what was written.
        now: milliseconds since the epoch.

    Raises:
        ValueError: it is neither.
    """
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) // timedelta(milliseconds=1)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def time_argument(text: str) -> int:
    """An argument's time in milliseconds.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return parse_time(text, time.time_ns() // 1_000_000)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(
            f"{text!r} is no time: write 2026-01-31T08:00:00Z (with its zone), or 26h, 90m, 2d"
        ) from error
