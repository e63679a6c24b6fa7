"""Law 6 for what was denied: a record a minute, and every attempt in some record's count."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib import runtime
from chalicelib.evidence.record import Origin
from chalicelib.store.denials import DenialItem
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.denied import (
    MINUTE_MS,
    REASON,
    ROUTE,
    counts,
    deny,
    records,
    row_of,
    settled,
)
from tests.functional.laws.faults import injected, interleaved
from tests.functional.laws.log_lines import captured
from tests.functional.laws.request_counter import counted


@pytest.fixture(autouse=True)
def _begun(swept: FrozenClock) -> None:
    assert swept


def test_a_denied_attempt_is_a_record_that_says_who_what_and_why(tenant: Tenant) -> None:
    deny(tenant)
    (record,) = records(tenant)
    assert (record.event, record.outcome, record.reason) == ("access.denied", "refused", REASON)
    assert (record.actor_type, record.actor_id) == ("organization_key", "key_1")
    assert (record.resource_type, record.resource_id) == ("route", ROUTE)
    assert (record.request_id, record.source_address) == ("r-1", "192.0.2.7")
    assert record.detail == {"route": ROUTE, "reason": REASON, "count": 1}
    assert record.at % MINUTE_MS == 0


def test_the_first_of_a_minute_costs_two_requests_and_each_other_one(tenant: Tenant) -> None:
    with counted() as requests:
        deny(tenant, 3)
    assert requests.operations == ["UpdateItem", "TransactWriteItems", "UpdateItem", "UpdateItem"]
    assert requests.sent[1].tables.count("denials") == 1
    assert counts(tenant) == [1]


def test_a_record_counts_those_since_the_record_before_itself_included(
    tenant: Tenant, clock: FrozenClock
) -> None:
    deny(tenant, 5)
    clock.now += MINUTE_MS - 1
    deny(tenant, 2)
    clock.now += 1
    deny(tenant, 4)
    clock.now += MINUTE_MS
    deny(tenant)
    assert counts(tenant) == [1, 7, 4]
    settled(tenant, 12)


def test_actor_route_and_reason_each_have_a_record_of_their_own(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    deny(tenant)
    deny(tenant, actor="key_2")
    deny(tenant, route="GET /api/v1/agents")
    deny(tenant, reason="permission_missing")
    deny(other_tenant)
    assert counts(tenant) == [1, 1, 1, 1]
    assert counts(other_tenant) == [1]
    assert len({row.id for row in [*records(tenant), *records(other_tenant)]}) == 5


def test_persons_are_denied_under_their_own_name_and_credential(tenant: Tenant) -> None:
    person = Origin(
        tenant.organization, "user", "key_1", "r-2", None, tenant.api.clock.now, "ses_1"
    )
    deny(tenant)
    runtime.current().denials.record(person, ROUTE, REASON)
    assert sorted(row.actor_type for row in records(tenant)) == ["organization_key", "user"]
    (of_person,) = [row for row in records(tenant) if row.actor_type == "user"]
    assert of_person.actor_credential == "ses_1"
    assert of_person.source_address is None


def test_what_was_recorded_at_once_is_in_no_index(tenant: Tenant) -> None:
    deny(tenant)
    row = row_of(tenant)
    assert int(row.pending) == 0
    assert row.due is None


def test_workers_that_deny_at_once_write_one_record_and_lose_no_attempt(tenant: Tenant) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: deny(tenant), range(120)))
    assert len(counts(tenant)) == 1
    assert sum(counts(tenant)) + int(row_of(tenant).pending) == 120
    settled(tenant, 120)


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
@pytest.mark.parametrize("operation", ["UpdateItem", "TransactWriteItems"])
@pytest.mark.parametrize("first", [1, 2])
def test_one_fault_neither_loses_nor_doubles_an_attempt(
    tenant: Tenant, clock: FrozenClock, fault: faults.Fault, operation: str, first: int
) -> None:
    with injected(fault, first=first, on=operation):
        deny(tenant, 3)
        clock.now += MINUTE_MS
        deny(tenant, 3)
    # A count whose answer was lost is sent again: at worst it is one too high.
    twice = 1 if fault is faults.LOST and operation == "UpdateItem" else 0
    settled(tenant, 6 + twice)


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.LOST, faults.CONFLICT], ids=str)
def test_a_worker_that_dies_before_the_record_leaves_the_attempt_to_the_sweep(
    tenant: Tenant, fault: faults.Fault
) -> None:
    lost = fault is faults.LOST
    with injected(fault, times=faults.ALWAYS, on="TransactWriteItems"):
        deny(tenant, 4)
    assert counts(tenant) == ([1] if lost else [])
    settled(tenant, 4)


def test_a_denial_in_the_middle_of_a_record_is_counted_once(tenant: Tenant) -> None:
    with interleaved(lambda: deny(tenant), on="TransactWriteItems"):
        deny(tenant)
    assert counts(tenant) == [2]
    settled(tenant, 2)


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.SHORT_OF_CAPACITY], ids=str)
@pytest.mark.parametrize("operation", ["UpdateItem", "TransactWriteItems"])
def test_an_outage_leaves_the_refusal_as_it_is_and_says_so(
    tenant: Tenant, fault: faults.Fault, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with captured() as logged, injected(fault, times=faults.ALWAYS, on=operation):
        deny(tenant)
    assert counts(tenant) == []
    assert "denial not recorded" in logged.getvalue()
    assert '"DenialNotRecorded":[' in capsys.readouterr().out


def test_a_worker_whose_clock_is_behind_writes_no_second_record(
    tenant: Tenant, clock: FrozenClock
) -> None:
    deny(tenant)
    clock.now -= 2 * MINUTE_MS
    deny(tenant, 2)
    clock.now += 2 * MINUTE_MS
    assert counts(tenant) == [1]
    settled(tenant, 3)


def test_a_key_without_the_scope_is_denied_and_recorded(tenant: Tenant) -> None:
    from tests.functional.world import organization_key_with

    key = organization_key_with(tenant, {"audit:read"})
    agent = tenant.enroll().agent_id
    for _ in range(3):
        answer = tenant.api.call("POST", f"/api/v1/agents/{agent}/revoke", credential=key)
        assert (answer.status, answer.code) == (403, "scope_missing")
    (record,) = tenant.audit("route", ROUTE.replace(" ", "%20"))
    assert record["detail"] == {"route": ROUTE, "reason": "scope_missing", "count": 1}
    assert agent not in str(record)
    settled(tenant, 3)


def test_a_key_that_is_denied_in_an_outage_is_still_told_403(tenant: Tenant) -> None:
    from tests.functional.world import organization_key_with

    key = organization_key_with(tenant, {"audit:read"})
    with injected(faults.DROPPED, times=faults.ALWAYS, on="UpdateItem"):
        answer = tenant.api.call("GET", "/api/v1/agents", credential=key)
    assert (answer.status, answer.code) == (403, "scope_missing")


def test_junk_leaves_no_row_and_no_record(tenant: Tenant) -> None:
    from chalicelib import ids
    from chalicelib.credentials import organization_key

    junk = organization_key.FAMILY.issue(tenant.organization, ids.new("key"))
    assert tenant.api.call("GET", "/api/v1/agents", credential=junk).status == 401
    assert records(tenant) == []
    assert [row for row in DenialItem.scan() if row.pk.startswith(tenant.organization)] == []
