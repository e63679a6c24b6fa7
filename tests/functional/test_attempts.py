"""The flight recorder: operators see which hosts were refused, and callers learn no more."""

import json
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.credentials.opaque import digest
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.laws.log_lines import captured
from tests.functional.laws.stories import rows_of
from tests.functional.refused_hosts import (
    FACTS,
    UNTOLD,
    listed,
    revoked,
    same_but_for_the_number,
    with_wrong_secret,
)
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


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
