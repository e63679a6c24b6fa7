"""A copy takes an identity of its own: once, whatever is lost on the way."""

from typing import Any

import pytest

from chalicelib import workers
from chalicelib.store import jobs
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, copy_of, noticed, status_of
from tests.functional.laws.faults import OF_A_WRITE, Fault, injected, interleaved
from tests.functional.laws.stories import (
    agents_of,
    host_of,
    idempotency_key,
    names_of,
    refusals_of,
    uses_of,
)

KEY = idempotency_key()


@pytest.fixture
def minted(tenant: Tenant) -> dict[str, Any]:
    """A token of one use."""
    return tenant.mint(labels={"rack": "7"})


@pytest.fixture
def host(tenant: Tenant, minted: dict[str, Any]) -> Host:
    """The host that stays."""
    return host_of(tenant.api, tenant.exchange(minted["token"], os="linux"))


@pytest.fixture
def other(tenant: Tenant, host: Host, clock: FrozenClock) -> Host:
    """Its copy, which is to go."""
    other = noticed(tenant, host, clock)
    body = {"decision": "split"}
    assert tenant.call("POST", f"/agents/{host.agent_id}/release", body).status == 200
    assert other.beat().code == "agent_split"
    return other


def split(host: Host, key: str | None = KEY) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return host.call("POST", "/split", {"instance": host.instance}, headers=headers)


def test_the_copy_becomes_an_agent_of_its_own(
    tenant: Tenant, host: Host, other: Host, minted: dict[str, Any], clock: FrozenClock
) -> None:
    answer = split(other)
    assert answer.status == 201, answer.body
    fresh = host_of(tenant.api, answer)
    assert fresh.agent_id != host.agent_id
    assert (answer.body["name"], answer.body["replayed"]) == ("host-1.example-2", False)
    assert answer.body["labels"] == {"rack": "7"}
    for one in (fresh, host):
        assert one.beat().status == 200
    clock.advance(seconds=INTERVAL)
    for one in (fresh, host):
        assert one.beat().status == 200
    shown = tenant.call("GET", f"/agents/{fresh.agent_id}").body
    assert (shown["status"], shown["os"]) == ("online", "linux")
    assert shown["enrollment_token_id"] == minted["enrollment_token_id"]
    assert (uses_of(tenant, minted), len(agents_of(tenant))) == (1, 2)
    (record,) = (
        one for one in tenant.audit("agent", host.agent_id) if one["event"] == "agent.split"
    )
    assert record["detail"]["new_agent_id"] == fresh.agent_id
    told = {one["event"] for one in tenant.audit("agent", fresh.agent_id)}
    assert told == {"agent.enrolled", "agent.online"}


def test_the_same_again_is_the_same_agent_until_it_is_heard(
    tenant: Tenant, other: Host, clock: FrozenClock
) -> None:
    first = host_of(tenant.api, split(other))
    for _ in range(3):
        clock.advance(hours=7)
        answer = split(other)
        assert (answer.status, answer.body["replayed"]) == (200, True)
        again = host_of(tenant.api, answer)
        assert again.agent_id == first.agent_id
        assert first.beat().code == "key_superseded"
        first = again
    assert again.beat().status == 200
    answer = split(other)
    assert (answer.status, answer.code) == (409, "not_split")
    assert len(agents_of(tenant)) == 2


def test_only_the_copy_that_was_chosen_may_take_it_and_only_once(
    tenant: Tenant, host: Host, other: Host
) -> None:
    assert split(host).code == "not_split"
    assert split(copy_of(host)).code == "not_split"
    assert split(other).status == 201
    answer = split(other, idempotency_key())
    assert (answer.status, answer.code) == (409, "not_split")
    assert len(agents_of(tenant)) == 2


def test_without_a_decision_there_is_nothing_to_take(tenant: Tenant) -> None:
    host = tenant.enroll()
    assert split(host).code == "not_split"
    host.beat()
    assert split(host).code == "not_split"
    assert len(agents_of(tenant)) == 1


def test_an_idempotency_key_is_needed(other: Host) -> None:
    answer = split(other, None)
    assert (answer.status, answer.code) == (400, "idempotency_key_required")


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
@pytest.mark.parametrize("again", [False, True], ids=["first", "repeated"])
def test_one_fault_is_no_failure_and_one_agent(
    tenant: Tenant, other: Host, fault: Fault, again: bool
) -> None:
    if again:
        assert split(other).status == 201
    with injected(fault, on="TransactWriteItems"):
        answer = split(other)
    assert answer.status == (200 if again else 201), answer.body
    assert host_of(tenant.api, answer).beat().status == 200
    assert len(agents_of(tenant)) == 2
    assert names_of(tenant) == ["host-1.example", "host-1.example-2"]


@pytest.mark.parametrize("same", [True, False], ids=["itself", "another key"])
@pytest.mark.parametrize("held", [1, 2])
def test_of_two_claims_at_once_one_agent_comes(
    tenant: Tenant, other: Host, same: bool, held: int
) -> None:
    key = KEY if same else idempotency_key()
    operation = "TransactWriteItems" if held == 1 else "BatchGetItem"
    with interleaved(lambda: split(other, key), on=operation) as answers:
        answer = split(other)
    assert answers[0].status == 201
    assert (answer.status, answer.code) == ((200, None) if same else (409, "not_split"))
    assert len(agents_of(tenant)) == 2


def test_a_taken_name_is_passed_over(tenant: Tenant, other: Host) -> None:
    for number in (2, 3, 4):
        tenant.enroll(name=f"host-1.example-{number}")
    answer = split(other)
    assert answer.status == 201
    assert answer.body["name"].startswith("host-1.example-")
    assert len(answer.body["name"]) == len("host-1.example-") + 6


@pytest.mark.parametrize("again", [False, True], ids=["first", "repeated"])
def test_who_may_not_enroll_is_no_copy_either(tenant: Tenant, other: Host, again: bool) -> None:
    if again:
        assert split(other).status == 201
    agents = len(agents_of(tenant))
    token = tenant.call("GET", f"/agents/{other.agent_id}").body["enrollment_token_id"]

    def revoke() -> Answer:
        return tenant.call("POST", f"/agent-enrollment/tokens/{token}/revoke")

    if again:
        revoke()
        answer = split(other)
    else:
        with interleaved(revoke, on="TransactWriteItems"):
            answer = split(other)
    assert (answer.status, answer.code) == (410, "token_revoked")
    assert len(agents_of(tenant)) == agents


def test_a_closed_environment_admits_no_copy(tenant: Tenant, other: Host) -> None:
    def close() -> Answer:
        return tenant.call("DELETE", f"/environments/{tenant.environment}")

    with interleaved(close, on="TransactWriteItems") as answers:
        answer = split(other)
    assert answers[0].status == 202
    assert (answer.status, answer.code) == (403, "environment_closed")
    assert len(agents_of(tenant)) == 1


@pytest.mark.parametrize(
    ("end", "code"), [("revoke", "key_revoked"), ("quarantine", "agent_quarantined")]
)
def test_what_ends_the_old_agent_in_the_middle_wins(
    tenant: Tenant, other: Host, end: str, code: str
) -> None:
    path = f"/agents/{other.agent_id}/{end}"
    with interleaved(lambda: tenant.call("POST", path), on="TransactWriteItems"):
        assert split(other).code == code
    assert len(agents_of(tenant)) == 1


def test_another_decision_in_the_middle_wins(tenant: Tenant, other: Host) -> None:
    path = f"/agents/{other.agent_id}"

    def keep() -> Answer:
        tenant.call("POST", f"{path}/quarantine")
        released = tenant.call("POST", f"{path}/release", {"decision": "keep"})
        assert released.status == 200
        return other.beat()

    with interleaved(keep, on="TransactWriteItems") as others:
        answer = split(other)
    assert others[0].status == 200
    assert (answer.status, answer.code) == (409, "not_split")
    assert len(agents_of(tenant)) == 1


def test_a_cascade_finds_the_copy_too(
    tenant: Tenant, host: Host, other: Host, minted: dict[str, Any]
) -> None:
    fresh = host_of(tenant.api, split(other))
    path = f"/agent-enrollment/tokens/{minted['enrollment_token_id']}/revoke"
    accepted = tenant.call("POST", path, {"cascade": True})
    row = jobs.find(tenant.organization, accepted.body["job"]["job_id"])
    assert row is not None
    workers.run_jobs([{"dynamodb": {"NewImage": row.serialize()}}], None)
    assert [status_of(tenant, one) for one in (host, fresh)] == ["revoked", "revoked"]
    done = tenant.call("GET", f"/jobs/{row.job_id}").body
    assert (done["status"], done["processed"], done["total"]) == ("done", 2, 2)


def test_the_beats_of_a_copy_that_does_not_go_cost_one_record_a_minute(
    tenant: Tenant, other: Host, clock: FrozenClock
) -> None:
    clock.now += 60_000 - clock.now % 60_000
    before = len(refusals_of(tenant, other.agent_id))
    for _ in range(5):
        assert other.beat().code == "agent_split"
        clock.advance(seconds=10)
    assert len(refusals_of(tenant, other.agent_id)) == before + 1
