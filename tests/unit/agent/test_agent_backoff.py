from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.backoff import LONGEST_RETRY_AFTER, Backoff, parse_retry_after

from tests.unit.agent.fakes import Chance

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def test_the_ceiling_doubles_until_the_cap() -> None:
    backoff = Backoff(base=1, cap=10)
    assert [backoff.ceiling(attempt) for attempt in range(6)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(("place", "delay"), [(0.0, 0.0), (0.5, 4.0), (1.0, 8.0)])
def test_full_jitter_draws_from_the_whole_range(place: float, delay: float) -> None:
    assert Backoff(base=1, cap=100).delay(3, Chance(place)) == delay


def test_retry_after_is_a_floor_and_the_jitter_comes_on_top() -> None:
    assert Backoff(base=1, cap=100).delay(3, Chance(0.0), retry_after=30) == 30
    assert Backoff(base=1, cap=100).delay(3, Chance(1.0), retry_after=30) == 38


@given(st.integers(-5, 10**9))
def test_no_number_of_failures_breaks_it(attempt: int) -> None:
    assert 0 < Backoff().ceiling(attempt) <= 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        ("Tue, 14 Nov 2093 22:13:50 GMT", LONGEST_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("Tue, 99 Nov 2023 99:13:50 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_bounded(
    header: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_header_breaks_it(header: str) -> None:
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    "date",
    [
        "1 Jan 2020 999999999999999989999:0",
        "1 Jan 2020 00:00:00 +999999999",
        "Mon, 1 Jan 99999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "31 Dec 9999 23:59:59 -2359",
    ],
)
def test_a_date_beyond_all_dates_is_as_if_absent_or_bounded(date: str) -> None:
    assert parse_retry_after(date, NOW) in {None, 0.0, LONGEST_RETRY_AFTER}
