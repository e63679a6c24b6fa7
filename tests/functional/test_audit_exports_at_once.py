"""How many exports an organization has under way, and that none holds its place for ever."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.errors import DomainError
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Origin
from chalicelib.flows import audit_export
from chalicelib.flows.audit_export import MOST_AT_ONCE
from chalicelib.flows.audit_trail import AuditQuery
from chalicelib.store.jobs import FAILED, STALLED_MS, JobItem
from tests.functional.api import Tenant
from tests.functional.exports import DAY, ask, asked, export, work_off
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.streams import Stream
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> Iterator[None]:
    assert stack
    empty_tables()
    yield
    empty_tables()


def _full(tenant: Tenant) -> list[str]:
    """As many exports as there may be."""
    made = [asked(tenant) for _ in range(MOST_AT_ONCE)]
    answer = ask(tenant)
    assert (answer.status, answer.code) == (429, "too_many_exports")
    assert answer.headers["Retry-After"] == "30"
    return made


def test_one_more_may_be_asked_for_when_some_have_ended(
    tenant: Tenant, other_tenant: Tenant, stack: dict[str, str]
) -> None:
    stream = Stream(stack["JobsStreamArn"])
    made = _full(tenant)
    assert ask(other_tenant).status == 202
    work_off(stream)
    assert {export(tenant, job)["status"] for job in made} == {"done"}
    _full(tenant)


def test_who_was_refused_leaves_no_job_and_no_evidence(tenant: Tenant) -> None:
    _full(tenant)
    before = [row.attribute_values for row in JobItem.scan()]
    assert ask(tenant).status == 429
    assert [row.attribute_values for row in JobItem.scan()] == before
    records = tenant.call("GET", _trail(tenant)).body["audit_records"]
    asked_for = [one for one in records if "export" in one["event"]]
    assert len(asked_for) == MOST_AT_ONCE


def _trail(tenant: Tenant) -> str:
    now = tenant.api.clock.now
    return f"/audit-records?since={rfc3339(now - DAY)}&until={rfc3339(now + 1000)}&limit=100"


def _failed(row: JobItem) -> None:
    row.update(actions=[JobItem.status.set(FAILED)])


def _gone(row: JobItem) -> None:
    row.delete()


def _stands_still(row: JobItem) -> None:
    row.update(actions=[JobItem.updated_at.set(int(row.updated_at) - STALLED_MS - 1)])


@pytest.mark.parametrize("end", [_failed, _gone, _stands_still])
def test_however_an_export_came_to_its_end_its_place_is_free(tenant: Tenant, end: Any) -> None:
    job = _full(tenant)[0]
    end(JobItem.get(f"{tenant.organization}#{job}"))
    assert ask(tenant).status == 202
    assert ask(tenant).status == 429


def test_of_many_asked_for_at_once_no_more_begin_than_may(tenant: Tenant) -> None:
    now = tenant.api.clock.now
    query = AuditQuery(since=now - DAY, until=now, resource=None, newest_first=False)

    def one(number: int) -> str:
        origin = Origin(tenant.organization, "user", "usr_x", f"r-{number}", None, now)
        try:
            audit_export.request(runtime.current().patience, origin, query)
        except DomainError as error:
            return error.code
        return "begun"

    with one_at_a_time(), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert found.count("begun") == MOST_AT_ONCE
    assert set(found) <= {"begun", "too_many_exports", "contention"}
