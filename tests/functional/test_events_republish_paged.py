"""`republish` page by page: broken off and gone on with, at a bounded rate, past midnights."""

from typing import Any

import boto3
import pytest

from chalicelib import runtime
from chalicelib.evidence.publisher import Published
from infra.republication import Position, Republication, Wanted, count_only
from tests.functional.api import Api, Tenant
from tests.functional.audit_rows import written
from tests.functional.world import empty_tables

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def start() -> int:
    """When the outage begins: two days ago, at the full minute."""
    now = runtime.wall_clock() - 2 * DAY
    return now - now % 60_000


class Run:
    """A republication whose time stands still, and that is broken off where a test says."""

    def __init__(self, wanted: Wanted, *, rate: int = 1000, breaks_at: int | None = None) -> None:
        self.batches: list[list[str]] = []
        self.slept: list[float] = []
        self.said: list[str] = []
        self.time = 0.0
        self._breaks_at = breaks_at
        self.work = Republication(
            boto3.client("dynamodb"), "rollcall-functional-", wanted, self._send, rate=rate,
            monotonic=lambda: self.time, sleep=self._sleep, say=self.said.append,
        )  # fmt: skip

    @property
    def sent(self) -> list[str]:
        return [one for batch in self.batches for one in batch]

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def _send(self, chunk: Any) -> Published:
        if len(self.batches) == self._breaks_at:
            raise KeyboardInterrupt
        self.batches.append([record.id for record in chunk])
        return Published(len(chunk), 0)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("breaks_at", [0, 1, 3, 5, 7])
def test_a_run_that_was_broken_off_goes_on_where_it_stopped(
    api: Api, start: int, breaks_at: int, named: bool
) -> None:
    tenants = [api.new_tenant() for _ in range(4)]
    made = [written(tenant, [start + n * HOUR for n in range(25)]) for tenant in tenants]
    organizations = tuple(tenant.organization for tenant in tenants) if named else ()
    first = Run(Wanted(start, start + 2 * DAY, organizations), breaks_at=breaks_at)
    with pytest.raises(KeyboardInterrupt):
        first.work.run()
    after = first.work.position
    assert (after is None) == (breaks_at == 0)
    again = after and Position.parse(str(after))
    second = Run(Wanted(start, start + 2 * DAY, organizations, again))
    second.work.run()
    sent = first.sent + second.sent
    assert sorted(sent) == sorted(one for each in made for one in each), "each exactly once"


def test_many_organizations_are_all_found(api: Api, start: int) -> None:
    tenants = [api.new_tenant() for _ in range(45)]
    made = [written(tenant, [start])[0] for tenant in tenants]
    run = Run(Wanted(start, start))
    run.work.run()
    assert sorted(run.sent) == sorted(made)
    last = run.work.position
    assert last is not None
    rest = Run(Wanted(start, start, after=last))
    rest.work.run()
    assert rest.sent == [], "nothing comes after the last"


def test_pages_and_days_are_read_whole_and_in_order(
    tenant: Tenant, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.audit_pages._PAGE", 3)
    midnight = start - start % DAY + DAY
    times = [midnight + offset for offset in range(-40, 40)] + [midnight] * 15
    made = dict(zip(written(tenant, times), times, strict=True))
    run = Run(Wanted(midnight - 40, midnight + 40))
    run.work.run()
    assert set(run.sent) == set(made)
    assert len(run.sent) == len(made)
    assert [made[one] for one in run.sent] == sorted(times)


def test_the_rate_bounds_the_events_a_second(tenant: Tenant, start: int) -> None:
    written(tenant, [start + number for number in range(100)])
    run = Run(Wanted(start, start + 100), rate=10)
    run.work.run()
    assert sum(run.slept) == pytest.approx(9)
    progress = [line for line in run.said if "60 events, 0 poison" in line]
    assert len(progress) == 1, run.said
    assert max(map(len, run.batches)) == 10


def test_the_count_of_a_dry_run_is_what_the_publisher_would_say() -> None:
    assert count_only([]) == Published(0, 0)
