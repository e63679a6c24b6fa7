"""Looking at the evidence: by time, by resource, in both orders, page by page."""

import datetime
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentRestarted
from chalicelib.evidence.record import Origin, refusal, success
from chalicelib.store import audit_records
from chalicelib.store.transaction import Transaction
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.world import empty_tables

DAY = 86_400_000
MIDNIGHT = 1_780_012_800_000  # 2026-05-29T00:00:00Z


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def written(tenant: Tenant, times: list[int], resource: str = "agt_1") -> list[str]:
    """Records of these times; their identifiers."""
    transaction = Transaction()
    made = []
    for moment in times:
        origin = Origin(tenant.organization, "system", "test", "r-1", None, moment)
        evidence = success(origin, AgentRestarted(agent_id=resource), resource=("agent", resource))
        audit_records.put(transaction, evidence)
        made.append(evidence.id)
    assert transaction.write() is None
    return made


def moment(milliseconds: int) -> str:
    """A time as it stands in a query."""
    return rfc3339(milliseconds)


def ask(tenant: Tenant, **query: Any) -> Answer:
    """One page of the trail."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return tenant.call("GET", f"/audit-records?{text}")


def everything(tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    """All pages of the trail."""
    rows: list[dict[str, Any]] = []
    for _ in range(50):
        answer = ask(tenant, **query)
        assert answer.status == 200, answer.body
        rows += answer.body["audit_records"]
        if answer.body["next_cursor"] is None:
            return rows
        query["cursor"] = answer.body["next_cursor"]
    raise AssertionError("the list does not end")


def identifiers(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_records_are_read_in_order_across_midnights(tenant: Tenant, limit: int, order: str) -> None:
    times = [MIDNIGHT + offset for offset in (-DAY - 1, -DAY, -5, -1, 0, 1, 7, DAY - 1, DAY)]
    made = written(tenant, times)
    given = {"since": moment(times[0]), "until": moment(times[-1]), "order": order, "limit": limit}
    rows = [row for row in everything(tenant, **given) if row["id"] in made]
    expected = made if order == "oldest" else made[::-1]
    assert identifiers(rows) == expected


def test_both_ends_of_the_range_belong_to_it(tenant: Tenant) -> None:
    made = written(tenant, [MIDNIGHT + offset for offset in (-2, -1, 0, 1, 2)])
    given = {"since": moment(MIDNIGHT - 1), "until": moment(MIDNIGHT + 1), "order": "oldest"}
    assert identifiers(everything(tenant, **given)) == made[1:4]
    only = {"since": moment(MIDNIGHT), "until": moment(MIDNIGHT)}
    assert identifiers(everything(tenant, **only)) == [made[2]]


def test_many_records_of_one_millisecond_are_all_shown_once(tenant: Tenant) -> None:
    made = written(tenant, [MIDNIGHT] * 40)
    for order in ("newest", "oldest"):
        given = {"since": moment(MIDNIGHT), "until": moment(MIDNIGHT), "order": order, "limit": 7}
        shown = identifiers(everything(tenant, **given))
        assert len(shown) == len(set(shown)) == 40
        assert set(shown) == set(made)


def test_the_last_day_is_shown_where_nothing_is_asked_newest_first(
    tenant: Tenant, clock: FrozenClock
) -> None:
    start = clock.now
    clock.advance(days=3)
    made = written(tenant, [clock.now - DAY - 1, clock.now - DAY, clock.now, clock.now + 1])
    assert identifiers(everything(tenant)) == [made[2], made[1]]
    assert start < clock.now - 2 * DAY


def test_the_range_of_the_first_page_holds_for_those_after_it(
    tenant: Tenant, clock: FrozenClock
) -> None:
    clock.advance(days=2)
    made = written(tenant, [clock.now - offset for offset in range(5)])
    first = ask(tenant, limit=2).body
    clock.advance(seconds=1)
    later = written(tenant, [clock.now])
    rest = ask(tenant, limit=2, cursor=first["next_cursor"]).body
    shown = identifiers(first["audit_records"] + rest["audit_records"])
    assert shown == made[:4]
    assert later[0] not in shown


def test_one_resource_can_be_asked_for(tenant: Tenant, other_tenant: Tenant) -> None:
    mine = written(tenant, [MIDNIGHT + n for n in range(5)], "agt_mine")
    written(tenant, [MIDNIGHT], "agt_other")
    written(other_tenant, [MIDNIGHT], "agt_mine")
    given = {
        "since": moment(MIDNIGHT - DAY), "until": moment(MIDNIGHT + DAY), "limit": 2,
        "resource_type": "agent", "resource_id": "agt_mine",
    }  # fmt: skip
    assert identifiers(everything(tenant, **given, order="oldest")) == mine
    assert identifiers(everything(tenant, **given, order="newest")) == mine[::-1]
    given["resource_type"] = "artifact"
    assert everything(tenant, **given) == []


def test_a_resource_is_read_within_the_range(tenant: Tenant) -> None:
    made = written(tenant, [MIDNIGHT + n for n in range(5)], "agt_mine")
    rows = everything(
        tenant, resource_type="agent", resource_id="agt_mine", order="oldest",
        since=moment(MIDNIGHT + 1), until=moment(MIDNIGHT + 3),
    )  # fmt: skip
    assert identifiers(rows) == made[1:4]


@pytest.mark.parametrize(
    ("days", "milliseconds", "status"), [(31, 0, 200), (31, 1, 400), (365, 0, 400), (-1, 0, 400)]
)
def test_a_range_is_at_most_31_days(
    tenant: Tenant, days: int, milliseconds: int, status: int
) -> None:
    since = MIDNIGHT - days * DAY - milliseconds
    answer = ask(tenant, since=moment(since), until=moment(MIDNIGHT))
    assert answer.status == status
    assert answer.code == (None if status == 200 else "query_invalid")


def test_the_longest_range_costs_a_bounded_number_of_requests(tenant: Tenant) -> None:
    with database_requests() as seen:
        ask(tenant, since=moment(MIDNIGHT - 31 * DAY), until=moment(MIDNIGHT))
    assert seen.count("Query") <= 32 * 8


def test_a_zone_is_understood(tenant: Tenant) -> None:
    made = written(tenant, [MIDNIGHT])
    given = {"since": "2026-05-29T02:00:00%2B02:00", "until": "2026-05-28T17:00:00-07:00"}
    assert identifiers(everything(tenant, **given)) == made


def test_a_record_says_who_did_what_from_where(tenant: Tenant) -> None:
    minted = tenant.mint(note="why")
    (record,) = tenant.audit("enrollment_token", minted["enrollment_token_id"])
    assert record == {
        "id": record["id"],
        "time": "2026-05-28T20:26:40.000Z",
        "event": "agent.enrollment_token.issued",
        "outcome": "success",
        "reason": None,
        "project": tenant.project,
        "environment": tenant.environment,
        "actor": {"type": "organization_key", "id": minted["created_by"]},
        "resource": {"type": "enrollment_token", "id": minted["enrollment_token_id"]},
        "request_id": record["request_id"],
        "source_address": "127.0.0.1",
        "detail": {
            "token_id": minted["enrollment_token_id"],
            "max_uses": 1,
            "expires_at": minted["expires_at"],
            "hostname": None,
            "source_cidrs": [],
            "labels": {},
            "replace_machine": False,
            "replace_offline_seconds": None,
        },
    }


def test_a_refusal_is_recorded_once_a_minute_and_reason(tenant: Tenant, clock: FrozenClock) -> None:
    clock.now = MIDNIGHT
    token = tenant.mint(hostname="edge")
    for _ in range(3):
        assert tenant.exchange(token["token"], hostname="other").status == 403
        clock.advance(seconds=10)

    def refused() -> list[dict[str, Any]]:
        records = tenant.audit("enrollment_token", token["enrollment_token_id"])
        return [record for record in records if record["outcome"] == "refused"]

    (record,) = refused()
    assert record["event"] == "agent.enrollment.failed"
    assert (record["reason"], record["detail"]["reason"]) == ("hostname_mismatch",) * 2
    assert record["detail"]["claimed_hostname"] == "other"
    clock.advance(seconds=30)
    tenant.exchange(token["token"], hostname="other")
    assert len(refused()) == 2


def test_a_record_can_not_be_overwritten(tenant: Tenant) -> None:
    origin = Origin(tenant.organization, "system", "test", "r-1", None, MIDNIGHT)
    first = refusal(origin, AgentRestarted(agent_id="agt_1"), "why", resource=("agent", "agt_1"))
    again = refusal(origin, AgentRestarted(agent_id="agt_2"), "why", resource=("agent", "agt_1"))
    assert first.id == again.id
    assert audit_records.put_once(first)
    assert not audit_records.put_once(again)
    transaction = Transaction()
    audit_records.put(transaction, again)
    cancelled = transaction.write()
    assert cancelled is not None
    assert set(cancelled.refused) == {"audit"}
    (row,) = everything(tenant, since=moment(MIDNIGHT), until=moment(MIDNIGHT))
    assert row["detail"] == {"agent_id": "agt_1"}


def test_a_record_is_kept_for_more_than_a_year(tenant: Tenant, clock: FrozenClock) -> None:
    written(tenant, [clock.now], resource := ids.new("agt"))
    (row,) = audit_records.AuditRecordItem.by_resource.query(
        f"{tenant.organization}#agent#{resource}"
    )
    assert row.ttl is not None
    end = datetime.datetime.fromtimestamp(clock.now // 1000, tz=datetime.UTC)
    # Two days longer than the batches promise: what is missing before that was taken away.
    assert row.ttl - end == datetime.timedelta(days=402)
