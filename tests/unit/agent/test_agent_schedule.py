from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.schedule import LONGEST_BACKOFF, Schedule, slots_skipped

TIMES = st.floats(0, 4e9)
INTERVALS = st.floats(1, 86400)
PLACES = st.floats(0, 1, exclude_max=True)


def test_an_id_has_one_place_and_another_id_another_one() -> None:
    assert Schedule.of("agt_1") == Schedule.of("agt_1")
    assert Schedule.of("agt_1") != Schedule.of("agt_2")


def test_ids_are_spread_evenly_over_the_interval() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(Schedule.of(f"agt_{number}").place * 10)] += 1
    # Five standard deviations around 1,000.
    assert all(850 < count < 1150 for count in tenths)


@given(PLACES, TIMES, INTERVALS)
def test_the_wait_ends_at_the_slot_within_one_interval(
    place: float, now: float, interval: float
) -> None:
    wait = Schedule(place).wait(now, interval)
    assert 0 <= wait <= interval
    off = abs((now + wait) % interval - place * interval)
    assert min(off, interval - off) < 1e-3


@given(PLACES, TIMES, INTERVALS, st.floats(0, 7200), st.integers(0, 10))
def test_a_floor_and_left_out_slots_only_ever_put_it_off(
    place: float, now: float, interval: float, floor: float, skip: int
) -> None:
    wait = Schedule(place).wait(now, interval, floor=floor, skip=skip)
    rounding = 1e-6
    assert floor + skip * interval - rounding <= wait
    assert wait <= floor + (skip + 1) * interval + rounding


@pytest.mark.parametrize(
    ("interval", "skipped"),
    [
        (30, [0, 1, 3, 7, 9, 9]),
        (60, [0, 1, 3, 4, 4, 4]),
        (200, [0, 0, 0, 0, 0, 0]),
        (3600, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_failures_leave_out_ever_more_slots_up_to_five_minutes_or_one_interval(
    interval: float, skipped: list[int]
) -> None:
    assert [slots_skipped(failures, interval) for failures in range(6)] == skipped


@given(st.integers(-3, 10**9), INTERVALS)
def test_no_number_of_failures_is_slower_than_five_minutes_or_one_interval(
    failures: int, interval: float
) -> None:
    longest = (slots_skipped(failures, interval) + 1) * interval
    assert longest <= max(LONGEST_BACKOFF, interval)
