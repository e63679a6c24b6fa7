"""Law 1 under faults: never a use without an agent, never two agents, never a lost token."""

from typing import Any

import pytest

from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import Fault, cancelled, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import (
    agents_of,
    host_of,
    idempotency_key,
    names_of,
    rows_of,
    token_row,
    uses_of,
)

READS = [(number, fault) for number in (1, 2) for fault in faults.OF_A_READ]
WRITES = [(3, fault) for fault in faults.OF_A_WRITE]


def assert_whole(tenant: Tenant, minted: dict[str, Any], *, agents: int) -> None:
    """Uses, identities, names, presences and evidence are as many as there are agents."""
    known = agents_of(tenant)
    assert len(known) == agents
    assert uses_of(tenant, minted) == agents
    assert len(names_of(tenant)) == agents
    presences = rows_of(tenant, "agent_presence")
    assert sorted(row["pk"]["S"].split("#")[1] for row in presences) == known
    enrolled = [
        row["resource_id"]["S"]
        for row in rows_of(tenant, "audit_records")
        if row["event"]["S"] == "agent.enrolled"
    ]
    assert sorted(enrolled) == known


@pytest.mark.parametrize("with_key", [True, False], ids=["with_key", "without_key"])
@pytest.mark.parametrize(("number", "fault"), READS + WRITES, ids=str)
def test_one_fault_at_any_request_is_no_failure(
    tenant: Tenant, number: int, fault: Fault, with_key: bool
) -> None:
    token = tenant.mint()
    key = idempotency_key() if with_key else None
    with injected(fault, first=number) as meeting:
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert meeting.seen > number
    assert answer.status == 201, answer.body
    assert_whole(tenant, token, agents=1)
    assert host_of(tenant.api, answer).beat().status == 200


@pytest.mark.parametrize(("number", "fault"), READS + WRITES, ids=str)
def test_a_lasting_fault_is_503_and_a_retry_gets_the_one_agent(
    tenant: Tenant, number: int, fault: Fault
) -> None:
    token, key = tenant.mint(), idempotency_key()
    with injected(fault, first=number, times=faults.ALWAYS):
        failed = tenant.exchange(token["token"], idempotency_key=key)
    assert failed.status == 503, failed.body
    assert failed.code in {"store_unavailable", "contention"}
    assert int(failed.headers["Retry-After"]) >= 1
    happened = fault is faults.LOST and number == 3
    assert_whole(tenant, token, agents=1 if happened else 0)
    again = tenant.exchange(token["token"], idempotency_key=key)
    assert (again.status, again.body["replayed"]) == ((200, True) if happened else (201, False))
    assert_whole(tenant, token, agents=1)
    assert host_of(tenant.api, again).beat().status == 200


@pytest.mark.parametrize(("number", "fault"), READS + WRITES, ids=str)
def test_without_a_key_a_lasting_fault_leaves_a_use_only_with_its_agent(
    tenant: Tenant, number: int, fault: Fault
) -> None:
    token = tenant.mint()
    with injected(fault, first=number, times=faults.ALWAYS):
        assert tenant.exchange(token["token"]).status == 503
    happened = fault is faults.LOST and number == 3
    assert_whole(tenant, token, agents=1 if happened else 0)
    again = tenant.exchange(token["token"])
    assert (again.status, again.code) == ((410, "token_spent") if happened else (201, None))
    assert_whole(tenant, token, agents=1)


def test_an_answer_lost_on_the_way_to_the_host_costs_nothing(api: Api, tenant: Tenant) -> None:
    token, key = tenant.mint(), idempotency_key()
    lost = host_of(api, tenant.exchange(token["token"], idempotency_key=key))
    fresh = host_of(api, tenant.exchange(token["token"], idempotency_key=key))
    assert fresh.agent_id == lost.agent_id
    assert fresh.key != lost.key
    dead = lost.beat()
    assert (dead.status, dead.code) == (401, "key_superseded")
    assert fresh.beat().status == 200
    assert_whole(tenant, token, agents=1)


def test_contention_is_waited_out_with_jitter(tenant: Tenant, clock: FrozenClock) -> None:
    token = tenant.mint()
    with injected(faults.CONFLICT, on="TransactWriteItems", times=4), counted() as requests:
        answer = tenant.exchange(token["token"])
    assert answer.status == 201
    assert len(requests.transactions) == 5
    # Half (the injected randomness) of ceilings that double.
    assert clock.slept == [0.02, 0.04, 0.08, 0.16]
    # Each attempt is a request of its own to DynamoDB, not a repetition of the first.
    assert len({sent.body["ClientRequestToken"] for sent in requests.transactions}) == 5


@pytest.mark.parametrize("fault", [faults.CONFLICT, faults.SHORT_OF_CAPACITY], ids=str)
def test_lasting_contention_is_503_and_never_spent(
    tenant: Tenant, clock: FrozenClock, fault: Fault
) -> None:
    token = tenant.mint()
    with injected(fault, on="TransactWriteItems", times=faults.ALWAYS) as meeting:
        answer = tenant.exchange(token["token"])
    assert (answer.status, answer.code) == (503, "contention")
    assert answer.headers["Retry-After"] == "2"
    assert meeting.seen == 8
    assert sum(clock.slept) < 4
    assert_whole(tenant, token, agents=0)


def _partial(codes: dict[str, str], items: dict[str, Any]) -> Fault:
    """A cancellation that names some parts, as two overlapping transactions get it."""

    def reasons(body: dict[str, Any]) -> list[dict[str, Any]]:
        answered = []
        for part in body["TransactItems"]:
            (kind, wanted), *_ = part.items()
            name = f"{kind} {wanted['TableName'].rsplit('-', 1)[1]}"
            reason = {"Code": codes.get(name, "None"), "Item": items.get(name)}
            answered.append({name: value for name, value in reason.items() if value})
        return answered

    return Fault("partial", answer=cancelled(reasons))


def test_spent_by_a_twin_whose_receipt_is_not_visible_yet_is_no_verdict(
    api: Api, tenant: Tenant
) -> None:
    """The twin's transaction is being applied: the token shows it, the receipt is still locked."""
    token, key = tenant.mint(), idempotency_key()
    raw = {**token_row(tenant, token).serialize(), "uses": {"N": "1"}}
    fault = _partial(
        {
            "Update agent_enrollment_tokens": "ConditionalCheckFailed",
            "Put agent_enrollment_tokens": "TransactionConflict",
        },
        {"Update agent_enrollment_tokens": raw},
    )
    twins: list[Any] = []

    def twin() -> None:
        twins.append(tenant.exchange(token["token"], idempotency_key=key))

    with (
        injected(fault, first=1, on="TransactWriteItems"),
        injected(faults.CONFLICT, first=1, on="TransactGetItems"),
        # The second look at both rows as one finds the twin's work done.
        interleaved(twin, first=2, on="TransactGetItems"),
    ):
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert (answer.status, answer.body.get("replayed")) == (200, True), answer.body
    assert answer.body["agent_id"] == twins[0].body["agent_id"]
    assert_whole(tenant, token, agents=1)
    assert host_of(api, answer).beat().status == 200


def test_a_read_torn_by_the_twin_is_no_verdict(tenant: Tenant) -> None:
    """A batch read is not one snapshot: the token may show the use before the receipt is there."""
    token, key = tenant.mint(), idempotency_key()
    first = tenant.exchange(token["token"], idempotency_key=key)

    def without_receipt(parsed: dict[str, Any]) -> None:
        for rows in parsed["Responses"].values():
            rows[:] = [row for row in rows if "key_digest" not in row]

    with faults.changed_answer("BatchGetItem", without_receipt):
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert (answer.status, answer.body.get("replayed")) == (200, True), answer.body
    assert answer.body["agent_id"] == first.body["agent_id"]
    assert_whole(tenant, token, agents=1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_first_exchanges_with_one_key_are_one_agent(
    api: Api, tenant: Tenant, number: int
) -> None:
    token, key = tenant.mint(max_uses=2), idempotency_key()
    with interleaved(
        lambda: tenant.exchange(token["token"], idempotency_key=key), first=number
    ) as (others):
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert others[0].status == 201
    assert (answer.status, answer.body["replayed"]) == (200, True)
    assert answer.body["agent_id"] == others[0].body["agent_id"]
    assert_whole(tenant, token, agents=1)
    assert host_of(api, others[0]).beat().code == "key_superseded"
    assert host_of(api, answer).beat().status == 200


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_two_replays_at_once_leave_one_working_key(api: Api, tenant: Tenant, number: int) -> None:
    token, key = tenant.mint(), idempotency_key()
    tenant.exchange(token["token"], idempotency_key=key)
    with interleaved(
        lambda: tenant.exchange(token["token"], idempotency_key=key), first=number
    ) as (others):
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert [others[0].status, answer.status] == [200, 200]
    assert host_of(api, others[0]).beat().code == "key_superseded"
    assert host_of(api, answer).beat().status == 200
    assert_whole(tenant, token, agents=1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_last_use_goes_to_one_of_two(tenant: Tenant, number: int) -> None:
    token = tenant.mint()
    with interleaved(lambda: tenant.exchange(token["token"]), first=number) as others:
        answer = tenant.exchange(token["token"])
    assert others[0].status == 201
    assert (answer.status, answer.code) == (410, "token_spent")
    assert_whole(tenant, token, agents=1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_revoking_during_an_exchange_spends_nothing(tenant: Tenant, number: int) -> None:
    token = tenant.mint()
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    with interleaved(lambda: tenant.call("POST", path), first=number) as others:
        answer = tenant.exchange(token["token"])
    assert others[0].status == 200
    assert (answer.status, answer.code) == (410, "token_revoked")
    assert_whole(tenant, token, agents=0)


def test_a_name_that_is_taken_meanwhile_is_another_one(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=2)
    with interleaved(lambda: tenant.exchange(token["token"]), first=3):
        answer = tenant.exchange(token["token"])
    assert answer.status == 201
    assert_whole(tenant, token, agents=2)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_repetition_by_the_sdk_counts_no_second_use(tenant: Tenant, lost: int) -> None:
    """The emulator ignores the client token, so the repetition really runs a second time."""
    token = tenant.mint(max_uses=5)
    with injected(faults.LOST, on="TransactWriteItems", times=lost), counted() as requests:
        assert tenant.exchange(token["token"]).status == 201
    assert len(requests.transactions) == lost + 1
    # The SDK tells DynamoDB by the token that these are one request.
    assert len({sent.body["ClientRequestToken"] for sent in requests.transactions}) == 1
    assert_whole(tenant, token, agents=1)
