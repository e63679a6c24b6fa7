"""The flight recorder, a flood of hosts and afterwards: what is kept, listed, and for whom."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib import ids
from chalicelib.credentials import enrollment_token
from chalicelib.evidence.record import Origin
from chalicelib.flows import attempts as flow
from chalicelib.store import attempts, enrollment_tokens
from chalicelib.store.attempts import MOST_A_MINUTE, Claimed
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.laws.stories import rows_of
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.refused_hosts import FACTS, listed, revoked
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def test_a_flood_of_200_leaves_20_attempts_and_one_that_counts_the_rest(tenant: Tenant) -> None:
    token = revoked(tenant)
    asked = []
    for _ in range(200):
        with database_requests() as seen:
            assert tenant.exchange(token["token"]).status == 410
        asked.append(len(seen))
    rows = listed(tenant, limit=7)
    kept = [row for row in rows if row["reason"] != "more"]
    (more,) = [row for row in rows if row["reason"] == "more"]
    assert len(kept) == 20
    assert {row["count"] for row in kept} == {1}
    assert more["count"] == 180
    assert more["claimed"] == dict.fromkeys(FACTS)
    assert (more["source_address"], more["request_id"]) == (None, None)
    # Two reads; then the count, and the row of the attempt while these are few. The first has
    # its audit record besides; the 21st lists the count.
    assert asked == [5, *[4] * 19, 4, *[3] * 179]


def test_the_next_minute_and_the_next_token_begin_anew(tenant: Tenant, clock: FrozenClock) -> None:
    clock.now -= clock.now % 60_000
    token, other = revoked(tenant), revoked(tenant)
    for _ in range(MOST_A_MINUTE + 2):
        tenant.exchange(token["token"])
    tenant.exchange(other["token"])
    clock.now += 59_999
    tenant.exchange(token["token"])
    clock.now += 1
    tenant.exchange(token["token"])
    of_other = listed(tenant, enrollment_token_id=other["enrollment_token_id"])
    assert [row["reason"] for row in of_other] == ["token_revoked"]
    rows = listed(tenant, enrollment_token_id=token["enrollment_token_id"])
    assert sorted(row["count"] for row in rows) == [1] * (MOST_A_MINUTE + 1) + [3]
    assert rows[0]["time"] == "2026-05-28T20:27:00.000Z"


def test_hosts_that_are_refused_at_once_are_counted_exactly(tenant: Tenant) -> None:
    token = tenant.mint()
    row = enrollment_tokens.find(tenant.organization, token["enrollment_token_id"])
    assert row is not None

    def refuse(number: int) -> None:
        origin = Origin(
            tenant.organization, "enrollment_token", row.token, f"r-{number}", "192.0.2.1",
            tenant.api.clock.now,
        )  # fmt: skip
        attempts.record(origin, row, Claimed(hostname=f"host-{number}"), "token_revoked")

    with one_at_a_time(), ThreadPoolExecutor(16) as pool:
        list(pool.map(refuse, range(200)))
    rows = listed(tenant, limit=100)
    assert sorted(one["count"] for one in rows) == [1] * 20 + [180]
    assert len({one["request_id"] for one in rows}) == 21


def test_a_count_that_a_dying_worker_left_unlisted_is_listed_by_the_next_attempt(
    tenant: Tenant,
) -> None:
    token = revoked(tenant)
    for _ in range(MOST_A_MINUTE):
        tenant.exchange(token["token"])
    # The count is written; then the worker dies before it lists the row.
    with injected(faults.DROPPED, first=2, times=faults.ALWAYS, on="UpdateItem"):
        assert tenant.exchange(token["token"]).status == 410
    assert "more" not in {row["reason"] for row in listed(tenant)}
    tenant.exchange(token["token"])
    assert [row["count"] for row in listed(tenant) if row["reason"] == "more"] == [2]


def test_the_list_is_newest_first_and_a_cursor_goes_through_all_of_it(
    tenant: Tenant, clock: FrozenClock
) -> None:
    tokens = [revoked(tenant) for _ in range(3)]
    expected: list[str] = []
    for number in range(15):
        clock.advance(seconds=7)
        answer = tenant.exchange(tokens[number % 3]["token"], hostname=f"host-{number}")
        expected.insert(0, answer.body["request_id"])
    for limit in (1, 4, 15, 100):
        assert [row["request_id"] for row in listed(tenant, limit=limit)] == expected
    token = tokens[1]["enrollment_token_id"]
    rows = listed(tenant, enrollment_token_id=token, limit=2)
    assert [row["claimed"]["hostname"] for row in rows] == [
        f"host-{number}" for number in (13, 10, 7, 4, 1)
    ]
    named = listed(tenant, environment=tenant.environment)
    assert [row["request_id"] for row in named] == expected
    both = {"environment": ids.new("env"), "enrollment_token_id": token}
    assert listed(tenant, **both) == []


def test_a_tenant_sees_only_its_own_attempts(tenant: Tenant, other_tenant: Tenant) -> None:
    token = revoked(tenant)
    tenant.exchange(token["token"])
    assert listed(other_tenant) == []
    assert listed(other_tenant, environment=tenant.environment) == []
    assert listed(other_tenant, enrollment_token_id=token["enrollment_token_id"]) == []
    # The tenant stands in the secret: another one's name for the same token finds nothing.
    forged = enrollment_token.FAMILY.issue(other_tenant.organization, token["enrollment_token_id"])
    assert other_tenant.exchange(forged).status == 401
    assert (len(listed(tenant)), len(listed(other_tenant))) == (1, 0)


def test_attempts_are_kept_for_30_days(tenant: Tenant) -> None:
    token = revoked(tenant)
    for _ in range(MOST_A_MINUTE + 1):
        tenant.exchange(token["token"])
    ends = {
        int(row["ttl"]["N"])
        for row in rows_of(tenant, "agent_enrollment_tokens")
        if "#attempt" in row["pk"]["S"]
    }
    assert ends == {tenant.api.clock.now // 1000 + 30 * 86_400}


def test_tokens_are_listed_as_before(tenant: Tenant) -> None:
    token = revoked(tenant)
    tenant.exchange(token["token"])
    answer = tenant.call("GET", "/agent-enrollment/tokens")
    names = [row["enrollment_token_id"] for row in answer.body["enrollment_tokens"]]
    assert names == [token["enrollment_token_id"]]


def test_a_page_that_the_filter_leaves_short_still_goes_on(
    tenant: Tenant, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "_MOST_SEEN", 5)
    one, other = revoked(tenant), revoked(tenant)
    tenant.exchange(one["token"])
    for _ in range(12):
        clock.advance(seconds=1)
        tenant.exchange(other["token"])
    rows = listed(tenant, enrollment_token_id=one["enrollment_token_id"])
    assert [row["enrollment_token_id"] for row in rows] == [one["enrollment_token_id"]]
