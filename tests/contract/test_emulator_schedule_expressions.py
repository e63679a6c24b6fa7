"""EventBridge's schedule expressions."""

from datetime import UTC, datetime

import pytest

from infra.emulator.cron import Schedule, ScheduleError

NOW = datetime(2026, 2, 27, 23, 59, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", datetime(2026, 2, 28, 0, 0, 30, tzinfo=UTC)),
        ("rate(2 hours)", datetime(2026, 2, 28, 1, 59, 30, tzinfo=UTC)),
        ("cron(0/15 * * * ? *)", datetime(2026, 2, 28, 0, 0, tzinfo=UTC)),
        ("cron(30 8 ? * MON-FRI *)", datetime(2026, 3, 2, 8, 30, tzinfo=UTC)),
        ("cron(0 12 29 2 ? *)", datetime(2028, 2, 29, 12, 0, tzinfo=UTC)),
        ("cron(5,10 0 1 MAR,JUN ? *)", datetime(2026, 3, 1, 0, 5, tzinfo=UTC)),
        ("cron(0 0 1 1 ? 2025)", None),
    ],
)
def test_when_a_schedule_fires(expression: str, expected: datetime | None) -> None:
    assert Schedule(expression).after(NOW) == expected


@pytest.mark.parametrize(
    "expression", ["", "rate(0 minutes)", "cron(* * *)", "cron(61 * * * ? *)", "cron(a * * * ? *)"]
)
def test_what_is_no_schedule(expression: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule(expression)
