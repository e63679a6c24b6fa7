from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.flows.agent_status import STATUSES, status_of

SEEN = 1_000_000


def row(
    status: str | None,
    last_seen: int | None = SEEN,
    interval: int = 60,
    released_at: int | None = None,
) -> Any:
    next_allowed = None if last_seen is None else last_seen + interval * 250
    return SimpleNamespace(
        status=status, last_seen=last_seen, next_allowed=next_allowed, released_at=released_at
    )


@pytest.mark.parametrize("interval", [1, 60, 3600])
@pytest.mark.parametrize(
    ("part", "status"),
    [(-1, "online"), (0, "online"), (1.5, "online"), (1.501, "late"), (2.999, "late"),
     (3, "offline"), (1000, "offline")],
)  # fmt: skip
def test_silence_is_measured_in_intervals(interval: int, part: float, status: str) -> None:
    told = row("online", interval=interval)
    assert status_of(told, SEEN + int(part * interval * 1000)) == status


@pytest.mark.parametrize(
    ("seen", "released", "status"),
    [(0, 0, "online"), (1.5, 0, "online"), (2, 1, "late"), (4, 1, "late"), (1000, 2.999, "late"),
     (3, 3, "offline"), (1000, 3, "offline"), (1, 1000, "online")],
)  # fmt: skip
def test_silence_of_a_released_agent_counts_from_its_release(
    seen: float, released: float, status: str
) -> None:
    """It is online by a beat alone: until then it is late at best."""
    now = SEEN + int(seen * 60_000)
    assert status_of(row("online", released_at=now - int(released * 60_000)), now) == status


@pytest.mark.parametrize("status", ["enrolled", "offline", "quarantined", "revoked"])
def test_a_status_that_was_given_is_not_made_up_again(status: str) -> None:
    assert status_of(row(status), SEEN) == status
    assert status_of(row(status, None), SEEN + 10**9) == status


def test_what_is_not_there_is_unknown_and_never_online() -> None:
    assert status_of(None, SEEN) == "unknown"
    assert status_of(row(None), SEEN) == "unknown"
    assert status_of(row("online", None), SEEN) == "offline"


def test_every_status_can_be_asked_for() -> None:
    assert set(STATUSES) == {"enrolled", "online", "late", "offline", "quarantined", "revoked"}
