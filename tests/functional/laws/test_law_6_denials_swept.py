"""Law 6 for the tail of what was denied: the sweep records it, once and whatever happens."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import runtime, workers
from chalicelib.errors import Unavailable
from chalicelib.store import denials, sweep_watermark
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.denied import (
    BUCKET_MS,
    MINUTE_MS,
    REASON,
    ROUTE,
    counts,
    deny,
    origin,
    records,
    row_of,
    settled,
)
from tests.functional.laws.faults import changed_answer, injected, interleaved


@pytest.fixture(autouse=True)
def _begun(swept: FrozenClock) -> None:
    assert swept


def test_the_tail_of_a_burst_is_recorded_by_the_sweep_some_minutes_late(
    tenant: Tenant, clock: FrozenClock
) -> None:
    deny(tenant, 9)
    assert row_of(tenant).due is not None
    last = clock.now
    while len(counts(tenant)) < 2:
        clock.advance(seconds=60)
        workers.sweep(None)
        assert clock.now - last <= BUCKET_MS + MINUTE_MS
    assert counts(tenant) == [1, 8]
    tail = records(tenant)[1]
    # As the attempts came: not in the name of the sweep.
    assert (tail.actor_id, tail.request_id) == ("key_1", "r-1")
    settled(tenant, 9)
    assert counts(tenant) == [1, 8]


def test_denials_in_the_middle_of_the_sweeps_record_are_counted_once(
    tenant: Tenant, clock: FrozenClock
) -> None:
    deny(tenant, 5)
    clock.now += BUCKET_MS
    with interleaved(lambda: deny(tenant, 3), on="TransactWriteItems"):
        workers.sweep(None)
    assert sum(counts(tenant)) + int(row_of(tenant).pending) == 8
    settled(tenant, 8)


def test_what_comes_while_a_full_record_is_refused_stays_in_the_index(
    tenant: Tenant, clock: FrozenClock
) -> None:
    """The record is refused once because more came, and still more come before the second try."""
    deny(tenant, 5)
    clock.now += BUCKET_MS
    row = row_of(tenant)

    def one_more() -> None:
        assert denials.add(origin(tenant), ROUTE, REASON, bucket=clock.now // 1000) is not None

    before_the_second = interleaved(one_more, first=2, on="TransactWriteItems")
    with interleaved(one_more, on="TransactWriteItems"), before_the_second:
        workers.sweep(None)
    assert counts(tenant) == [1, 5]
    now_there = row_of(tenant)
    assert int(now_there.pending) == 1
    assert now_there.due_bucket is not None
    assert row.due_bucket is not None
    assert now_there.due_bucket > row.due_bucket
    settled(tenant, 7)


def test_two_sweeps_at_once_write_one_record(tenant: Tenant, clock: FrozenClock) -> None:
    deny(tenant, 5)
    clock.now += BUCKET_MS
    with interleaved(lambda: workers.sweep(None), on="TransactWriteItems"):
        workers.sweep(None)
    assert counts(tenant) == [1, 4]


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.LOST, faults.CONFLICT], ids=str)
def test_one_fault_does_not_lose_or_double_the_sweeps_record(
    tenant: Tenant, clock: FrozenClock, fault: faults.Fault
) -> None:
    deny(tenant, 5)
    clock.now += BUCKET_MS
    with injected(fault, on="TransactWriteItems"):
        workers.sweep(None)
    assert counts(tenant) == [1, 4]


@pytest.mark.parametrize("hours", [1, 5])
def test_an_outage_of_the_sweep_loses_nothing(
    tenant: Tenant, clock: FrozenClock, hours: int
) -> None:
    workers.sweep(None)
    for _ in range(3):
        deny(tenant, 4)
        clock.advance(hours=hours / 3)
        with injected(faults.DENIED, times=faults.ALWAYS), pytest.raises(Unavailable):
            workers.sweep(None)
    clock.advance(seconds=BUCKET_MS // 1000)
    workers.sweep(None)
    assert counts(tenant) == [1, 4, 4, 3]


def test_an_index_that_lags_is_looked_at_again(tenant: Tenant, clock: FrozenClock) -> None:
    deny(tenant, 5)
    clock.now += BUCKET_MS

    def empty(parsed: dict[str, Any]) -> None:
        parsed["Items"], parsed["Count"] = [], 0

    with changed_answer("Query", empty, times=faults.ALWAYS):
        workers.sweep(None)
    clock.advance(seconds=60)
    workers.sweep(None)
    assert counts(tenant) == [1, 4]


@pytest.fixture
def narrow(swept: FrozenClock) -> Iterator[None]:
    """Buckets of a second, as a stage may have them."""
    now = runtime.current()
    before = now.settings
    now.settings = replace(before, presence_bucket_seconds=1)
    vars(now).pop("denials", None)
    sweep_watermark.advance(swept.now // 1000 - 2, sweep_watermark.DENIALS)
    yield
    now.settings = before
    vars(now).pop("denials", None)


@pytest.mark.usefixtures("narrow")
def test_buckets_narrower_than_a_minute_still_make_one_record_a_minute(
    tenant: Tenant, clock: FrozenClock
) -> None:
    deny(tenant, 5)
    for _ in range(4):
        clock.advance(seconds=10)
        workers.sweep(None)
    assert counts(tenant) == [1]
    clock.advance(seconds=20)
    workers.sweep(None)
    assert counts(tenant) == [1, 4]
