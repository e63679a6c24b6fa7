"""The dry run of an exchange: says whether a token admits a host, and spends nothing."""

from typing import Any

import pytest

from chalicelib import ids
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws.signing_requests import csr_of, tampered_csr
from tests.functional.laws.stories import idempotency_key, rows_of, uses_of
from tests.functional.refused_hosts import (
    FACTS,
    UNTOLD,
    listed,
    revoked,
    same_but_for_the_number,
    with_wrong_secret,
)
from tests.functional.world import empty_tables

PATH = "/api/v1/agent-enrollment/check"
WRITTEN = ("agent_enrollment_tokens", "agent_identities", "agent_presence", "audit_records")


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def check(tenant: Tenant, credential: str | None, /, **said: Any) -> Answer:
    body = {"hostname": "host-1.example", **said}
    return tenant.api.call("POST", PATH, body, credential=credential)


def everything(tenant: Tenant) -> list[list[dict[str, Any]]]:
    return [rows_of(tenant, table) for table in WRITTEN]


def test_the_holder_learns_that_the_token_admits_this_host_and_no_secret(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=3, ttl_seconds=3600)
    answer = check(tenant, token["token"], csr=csr_of(), **UNTOLD)
    assert answer.status == 200
    assert answer.body == {
        "admits": True,
        "environment": tenant.environment,
        "expires_at": token["expires_at"],
        "uses_left": 3,
    }


def test_the_token_may_stand_in_the_body(tenant: Tenant) -> None:
    token = tenant.mint()
    assert check(tenant, None, token=token["token"]).status == 200


def test_nothing_is_spent_or_written_however_often_it_is_asked(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=1)
    before = everything(tenant)
    with database_requests() as seen:
        answers = [check(tenant, token["token"], name="edge-1") for _ in range(10)]
    assert [answer.body["uses_left"] for answer in answers] == [1] * 10
    assert set(seen) == {"BatchGetItem", "GetItem"}
    assert everything(tenant) == before
    assert tenant.exchange(token["token"], name="edge-1").status == 201


def test_it_takes_no_idempotency_key_from_the_exchange_that_follows(tenant: Tenant) -> None:
    token, key = tenant.mint(), idempotency_key()
    answer = tenant.api.call(
        "POST", PATH, {}, credential=token["token"], headers={"Idempotency-Key": key}
    )
    assert answer.status == 200
    assert tenant.exchange(token["token"], idempotency_key=key).status == 201
    assert uses_of(tenant, token) == 1


def test_uses_that_are_counted_in_rows_of_their_own_are_subtracted_too(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=1_000)
    for _ in range(3):
        assert tenant.exchange(token["token"]).status == 201
    assert check(tenant, token["token"]).body["uses_left"] == 997


@pytest.mark.parametrize(
    ("asked", "said", "status", "reason"),
    [
        ({"hostname": "host-2"}, {}, 403, "hostname_mismatch"),
        ({"source_cidrs": ["203.0.113.0/24"]}, {}, 403, "source_address_refused"),
        ({"ttl_seconds": 60}, {}, 410, "token_expired"),
        ({"labels": {f"l{n}": "v" for n in range(30)}}, {"labels": {"a": "b", "c": "d", "e": "f"}},
         400, "validation_failed"),
    ],
)  # fmt: skip
def test_it_refuses_what_the_exchange_refuses_and_operators_see_it(
    tenant: Tenant,
    clock: FrozenClock,
    asked: dict[str, Any],
    said: dict[str, Any],
    status: int,
    reason: str,
) -> None:
    token = tenant.mint(**asked)
    clock.advance(seconds=61)
    answer = check(tenant, token["token"], **said)
    assert (answer.status, answer.code) == (status, reason)
    assert [row["reason"] for row in listed(tenant)] == [reason]
    clock.advance(seconds=61)
    same_but_for_the_number(answer, tenant.exchange(token["token"], **said))


def test_a_revoked_token_is_refused_with_an_attempt_and_an_audit_record(tenant: Tenant) -> None:
    token = revoked(tenant)
    answer = check(tenant, token["token"], **FACTS, **UNTOLD)
    assert (answer.status, answer.code) == (410, "token_revoked")
    (seen,) = listed(tenant)
    assert (seen["reason"], seen["claimed"]) == ("token_revoked", FACTS)
    records = tenant.audit("enrollment_token", token["enrollment_token_id"])
    refused = [record["reason"] for record in records if record["outcome"] == "refused"]
    assert refused == ["token_revoked"]


def test_a_spent_token_is_refused(tenant: Tenant) -> None:
    token = tenant.mint()
    assert tenant.exchange(token["token"]).status == 201
    assert check(tenant, token["token"]).code == "token_spent"


def test_an_environment_that_is_being_deleted_admits_nobody(tenant: Tenant) -> None:
    token = tenant.mint()
    assert tenant.call("DELETE", f"/environments/{tenant.environment}").status == 202
    assert check(tenant, token["token"]).code == "environment_closed"


def test_a_wrong_secret_learns_no_more_than_a_made_up_one(tenant: Tenant) -> None:
    known = tenant.mint()["enrollment_token_id"]
    guessed = check(tenant, with_wrong_secret(tenant, known))
    made_up = check(tenant, with_wrong_secret(tenant, ids.new("tok")))
    assert (guessed.status, guessed.code) == (401, "credential_invalid")
    same_but_for_the_number(guessed, made_up)
    assert [row["reason"] for row in listed(tenant)] == ["credential_invalid"]


def test_a_name_is_not_asked_about(tenant: Tenant) -> None:
    tenant.enroll(name="edge-1")
    token = tenant.mint()
    assert check(tenant, token["token"], name="edge-1").status == 200
    assert tenant.exchange(token["token"], name="edge-1").code == "name_taken"


@pytest.mark.parametrize(
    "said",
    [{"hostname": "../../etc"}, {"name": "no spaces"}, {"unknown": 1}, {"csr": tampered_csr()}],
)
def test_a_bad_request_is_refused_before_the_token_is_looked_at(
    tenant: Tenant, said: dict[str, Any]
) -> None:
    token = tenant.mint()
    with database_requests() as seen:
        assert check(tenant, token["token"], **said).status == 400
    assert seen == []
    assert listed(tenant) == []
