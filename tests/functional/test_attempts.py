"""The flight recorder: operators see which hosts were refused, and no flood fills the table."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.credentials import enrollment_token
from chalicelib.credentials.opaque import digest
from chalicelib.evidence.record import Origin
from chalicelib.flows import attempts as flow
from chalicelib.store import attempts, enrollment_tokens
from chalicelib.store.attempts import MOST_A_MINUTE, Claimed
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.laws.log_lines import captured
from tests.functional.laws.stories import rows_of
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.world import empty_tables

FACTS: dict[str, Any] = {
    "hostname": "host-1.example",
    "name": "edge-1",
    "os": "Linux 6",
    "arch": "riscv64",
    "agent_version": "1.2.3",
}
UNTOLD: dict[str, Any] = {"machine_id": "d3adb33f-machine", "labels": {"rack": "secret-rack"}}


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def listed(tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    """All pages of the list."""
    rows: list[dict[str, Any]] = []
    for _ in range(300):
        text = "&".join(f"{name}={value}" for name, value in query.items())
        answer = tenant.call("GET", f"/agent-enrollment/attempts?{text}")
        assert answer.status == 200, answer.body
        rows += answer.body["attempts"]
        if answer.body["next_cursor"] is None:
            return rows
        query["cursor"] = answer.body["next_cursor"]
    raise AssertionError("the list does not end")


def revoked(tenant: Tenant) -> dict[str, Any]:
    """A token that admits nobody any more."""
    token = tenant.mint()
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    assert tenant.call("POST", path).status == 200
    return token


def with_wrong_secret(tenant: Tenant, token: str) -> str:
    """A secret that names a token and is not its own."""
    return enrollment_token.FAMILY.issue(tenant.organization, token)


def same_but_for_the_number(first: Answer, second: Answer) -> None:
    bodies = [{**answer.body, "request_id": ""} for answer in (first, second)]
    assert (first.status, bodies[0]) == (second.status, bodies[1])
    assert {name.lower() for name in first.headers} == {name.lower() for name in second.headers}


def test_a_refused_host_is_seen_with_reason_address_and_what_it_said(
    tenant: Tenant, clock: FrozenClock
) -> None:
    token = revoked(tenant)
    answer = tenant.exchange(token["token"], **FACTS, **UNTOLD)
    assert (answer.status, answer.code) == (410, "token_revoked")
    (seen,) = listed(tenant)
    assert seen == {
        "time": "2026-05-28T20:26:40.000Z",
        "enrollment_token_id": token["enrollment_token_id"],
        "project": tenant.project,
        "environment": tenant.environment,
        "reason": "token_revoked",
        "count": 1,
        "source_address": "127.0.0.1",
        "claimed": FACTS,
        "request_id": answer.body["request_id"],
    }
    assert clock.now == 1_780_000_000_000


def test_what_identifies_hardware_or_is_secret_is_neither_listed_nor_stored(
    tenant: Tenant,
) -> None:
    token = revoked(tenant)
    tenant.exchange(token["token"], **FACTS, **UNTOLD)
    wrong = with_wrong_secret(tenant, token["enrollment_token_id"])
    tenant.exchange(wrong, **FACTS, **UNTOLD)
    rows = [
        row for row in rows_of(tenant, "agent_enrollment_tokens") if "#attempt" in row["pk"]["S"]
    ]
    assert len(rows) == 3
    emitted = json.dumps([rows, listed(tenant)], default=repr)
    secrets = (token["token"], wrong)
    for needle in (*secrets, "d3adb33f", "secret-rack", *(digest(raw).hex() for raw in secrets)):
        assert needle not in emitted
    assert not any(repr(digest(raw))[2:-1] in emitted for raw in secrets)


@pytest.mark.parametrize(
    ("asked", "said", "reason"),
    [
        ({"hostname": "host-2"}, {}, "hostname_mismatch"),
        ({"source_cidrs": ["203.0.113.0/24"]}, {}, "source_address_refused"),
        ({"ttl_seconds": 60}, {}, "token_expired"),
        ({"labels": {f"l{n}": "v" for n in range(30)}}, {"labels": {"a": "b", "c": "d", "e": "f"}},
         "validation_failed"),
    ],
)  # fmt: skip
def test_every_refusal_of_a_holder_is_seen(
    tenant: Tenant, clock: FrozenClock, asked: dict[str, Any], said: dict[str, Any], reason: str
) -> None:
    token = tenant.mint(**asked)
    clock.advance(seconds=61)
    answer = tenant.exchange(token["token"], **said)
    assert answer.code == reason
    assert [row["reason"] for row in listed(tenant)] == [reason]


def test_a_replay_and_a_name_that_are_refused_are_seen_too(tenant: Tenant) -> None:
    token, key = tenant.mint(max_uses=5), "k" * 43
    first = tenant.exchange(token["token"], idempotency_key=key, name="one")
    assert first.status == 201
    assert tenant.exchange(token["token"], name="one").code == "name_taken"
    agent = first.body["agent_id"]
    assert tenant.call("POST", f"/agents/{agent}/revoke").status == 200
    again = tenant.exchange(token["token"], idempotency_key=key, name="one")
    assert again.code == "replay_window_closed"
    reasons = sorted(row["reason"] for row in listed(tenant))
    assert reasons == ["name_taken", "replay_window_closed"]


def test_a_success_leaves_no_attempt_and_costs_no_request_more(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=2)
    with database_requests() as seen:
        assert tenant.exchange(token["token"]).status == 201
    assert seen == ["BatchGetItem", "GetItem", "TransactWriteItems"]
    assert listed(tenant) == []


def test_a_wrong_secret_of_a_known_token_is_seen_and_the_caller_learns_no_more_than_before(
    tenant: Tenant,
) -> None:
    known = tenant.mint()["enrollment_token_id"]
    guessed = tenant.exchange(with_wrong_secret(tenant, known), **FACTS)
    made_up = tenant.exchange(with_wrong_secret(tenant, ids.new("tok")), **FACTS)
    assert (guessed.status, guessed.code) == (401, "credential_invalid")
    same_but_for_the_number(guessed, made_up)
    (seen,) = listed(tenant)
    assert (seen["reason"], seen["enrollment_token_id"]) == ("credential_invalid", known)
    assert seen["claimed"] == FACTS
    # No evidence of it: whoever knows no secret must not be able to fill the audit trail.
    assert [row["event"] for row in tenant.audit("enrollment_token", known)] == [
        "agent.enrollment_token.issued"
    ]


def test_junk_that_names_no_known_token_is_counted_and_not_stored(
    tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows_of(tenant, "agent_enrollment_tokens")
    with database_requests() as seen:
        tenant.exchange(with_wrong_secret(tenant, ids.new("tok")))
    assert seen == ["BatchGetItem"]
    assert rows_of(tenant, "agent_enrollment_tokens") == before
    assert listed(tenant) == []
    printed = capsys.readouterr().out
    assert '"reason":"enrollment_token_unknown"' in printed.replace(" ", "")


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


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.SHORT_OF_CAPACITY], ids=str)
@pytest.mark.parametrize("operation", ["UpdateItem", "PutItem"])
def test_an_outage_of_the_recorder_changes_no_answer(
    tenant: Tenant, fault: faults.Fault, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known, expired = tenant.mint(), revoked(tenant)
    assert tenant.exchange(expired["token"]).status == 410  # This minute's evidence is there.
    wrong = with_wrong_secret(tenant, known["enrollment_token_id"])
    made_up = tenant.exchange(with_wrong_secret(tenant, ids.new("tok")))
    with captured() as logged, injected(fault, times=faults.ALWAYS, on=operation):
        guessed, refused = tenant.exchange(wrong), tenant.exchange(expired["token"])
    same_but_for_the_number(guessed, made_up)
    assert (refused.status, refused.code) == (410, "token_revoked")
    assert logged.getvalue().count("attempt not recorded") == 2
    assert wrong not in logged.getvalue()
    assert capsys.readouterr().out.count('"AttemptNotRecorded":[') == 2


def test_the_refusals_evidence_still_comes_before_its_answer(tenant: Tenant) -> None:
    token = revoked(tenant)
    with injected(faults.DROPPED, times=faults.ALWAYS, on="PutItem"):
        answer = tenant.exchange(token["token"])
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert listed(tenant) == []


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
