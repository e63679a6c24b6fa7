"""Law 1: the window in which a lost answer can be asked for again, and how it closes."""

from typing import Any

import pytest

from tests.functional.api import Answer, Api, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import Fault, cancelled, injected, interleaved
from tests.functional.laws.request_counter import Requests, counted
from tests.functional.laws.signing_requests import csr_of
from tests.functional.laws.stories import (
    agents_of,
    host_of,
    idempotency_key,
    presence_of,
    uses_of,
)


class Enrolling:
    """A host with a token of one use, and the idempotency key that it stays with."""

    def __init__(self, tenant: Tenant, **wanted: Any) -> None:
        self.tenant = tenant
        self.token = tenant.mint(**wanted)
        self.key = idempotency_key()

    def exchange(self, **said: Any) -> Answer:
        return self.tenant.exchange(self.token["token"], idempotency_key=self.key, **said)

    def host(self) -> Host:
        return host_of(self.tenant.api, self.exchange())

    def revoke(self) -> Answer:
        path = f"/agent-enrollment/tokens/{self.token['enrollment_token_id']}/revoke"
        return self.tenant.call("POST", path)


@pytest.fixture
def enrolling(tenant: Tenant) -> Enrolling:
    return Enrolling(tenant)


def test_a_replay_is_served_when_the_token_is_spent_or_expired(
    enrolling: Enrolling, clock: FrozenClock
) -> None:
    first = enrolling.host()
    clock.advance(hours=2)  # beyond the token's hour; spent it is since the exchange
    again = enrolling.exchange()
    assert (again.status, again.body["agent_id"]) == (200, first.agent_id)
    assert uses_of(enrolling.tenant, enrolling.token) == 1


def test_a_replay_says_what_the_first_answer_said(enrolling: Enrolling) -> None:
    first, again = enrolling.exchange().body, enrolling.exchange().body
    changed = {"runtime_key", "replayed"}
    assert {name: value for name, value in first.items() if name not in changed} == {
        name: value for name, value in again.items() if name not in changed
    }


def test_a_revoked_token_serves_no_replay(enrolling: Enrolling) -> None:
    enrolling.exchange()
    enrolling.revoke()
    answer = enrolling.exchange()
    assert (answer.status, answer.code) == (410, "token_revoked")


def test_revoking_in_the_middle_of_a_replay_wins(enrolling: Enrolling) -> None:
    host = enrolling.host()
    with interleaved(enrolling.revoke, on="TransactWriteItems"):
        answer = enrolling.exchange()
    assert (answer.status, answer.code) == (410, "token_revoked")
    assert host.beat().status == 200


def test_the_first_heartbeat_closes_the_window(enrolling: Enrolling) -> None:
    host = enrolling.host()
    assert host.beat().status == 200
    answer = enrolling.exchange()
    assert (answer.status, answer.code) == (409, "replay_window_closed")
    assert agents_of(enrolling.tenant) == [host.agent_id]


def test_a_day_closes_the_window_without_a_write(enrolling: Enrolling, clock: FrozenClock) -> None:
    enrolling.exchange()
    clock.advance(hours=24)
    assert enrolling.exchange().status == 200
    clock.now += 1
    with counted() as requests:
        answer = enrolling.exchange()
    assert (answer.status, answer.code) == (409, "replay_window_closed")
    # No more than the evidence of the refusal, once a minute, and the attempt for operators.
    assert requests.writes == ["PutItem", "UpdateItem", "PutItem"]
    assert [row.split("#")[2] for row in _put(requests)] == ["attempt"]
    with counted() as requests:
        enrolling.exchange()
    assert requests.writes == ["UpdateItem", "PutItem"]


def _put(requests: Requests) -> list[str]:
    """The keys of what was put into the tokens' table."""
    puts = [sent for sent in requests.sent if sent.operation == "PutItem"]
    tables = [sent for sent in puts if sent.tables == ["agent_enrollment_tokens"]]
    return [sent.body["Item"]["pk"]["S"] for sent in tables]


def test_a_replay_does_not_make_the_window_longer(enrolling: Enrolling, clock: FrozenClock) -> None:
    enrolling.exchange()
    clock.advance(hours=20)
    assert enrolling.exchange().status == 200
    clock.advance(hours=5)
    assert enrolling.exchange().code == "replay_window_closed"


def test_a_revoked_agent_is_not_handed_out_again(enrolling: Enrolling) -> None:
    host = enrolling.host()
    enrolling.tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    answer = enrolling.exchange()
    assert (answer.status, answer.code) == (409, "replay_window_closed")
    assert host.beat().code == "key_revoked"


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_heartbeat_that_comes_before_the_replays_write_wins(
    enrolling: Enrolling, number: int
) -> None:
    host = enrolling.host()
    with interleaved(host.beat, first=number) as beats:
        replayed = enrolling.exchange()
    assert beats[0].status == 200
    assert (replayed.status, replayed.code) == (409, "replay_window_closed")
    assert host.repeat_beat(nonce="n" * 16).code == "sequence_stale"


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem", "TransactWriteItems"])
def test_a_replay_that_comes_before_the_heartbeats_write_wins(
    enrolling: Enrolling, operation: str
) -> None:
    host = enrolling.host()
    with interleaved(enrolling.exchange, on=operation) as replays:
        beat = host.beat()
    assert replays[0].status == 200
    assert (beat.status, beat.code) == (401, "key_superseded")
    assert host_of(enrolling.tenant.api, replays[0]).beat().status == 200


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_in_a_replay_is_no_failure(enrolling: Enrolling, fault: Fault) -> None:
    first = enrolling.host()
    with injected(fault, on="TransactWriteItems"):
        again = enrolling.exchange()
    assert again.status == 200, again.body
    assert first.beat().code == "key_superseded"
    assert host_of(enrolling.tenant.api, again).beat().status == 200
    assert agents_of(enrolling.tenant) == [first.agent_id]


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_a_lasting_fault_in_a_replay_is_503_and_the_next_one_works(
    enrolling: Enrolling, fault: Fault
) -> None:
    first = enrolling.host()
    with injected(fault, on="TransactWriteItems", times=faults.ALWAYS):
        failed = enrolling.exchange()
    assert failed.status == 503, failed.body
    again = enrolling.host()
    assert again.agent_id == first.agent_id
    assert again.beat().status == 200


def test_a_replay_that_meets_another_ones_locks_is_contention_and_not_a_verdict(
    api: Api, enrolling: Enrolling
) -> None:
    """The other replay is being applied: presence shows it, the receipt is still locked."""
    first = enrolling.host()
    raw = {
        **presence_of(enrolling.tenant, first.agent_id).serialize(),
        "k": {"B": "AAAA"},
    }

    def reasons(body: dict[str, Any]) -> list[dict[str, Any]]:
        answered: list[dict[str, Any]] = []
        for part in body["TransactItems"]:
            (_, wanted), *_ = part.items()
            if wanted["TableName"].endswith("agent_presence"):
                answered.append({"Code": "ConditionalCheckFailed", "Item": raw})
            elif "UpdateExpression" in wanted:
                answered.append({"Code": "TransactionConflict"})
            else:
                answered.append({"Code": "None"})
        return answered

    with injected(Fault("half", answer=cancelled(reasons)), on="TransactWriteItems"):
        answer = enrolling.exchange()
    assert answer.status == 200, answer.body
    assert host_of(api, answer).beat().status == 200


def test_a_replay_answers_the_certificate_of_the_first_time(tenant: Tenant) -> None:
    enrolling = Enrolling(tenant)
    first = enrolling.exchange(csr=csr_of()).body["certificate"]
    assert first["placeholder"] is True
    for said in ({"csr": csr_of()}, {"csr": csr_of("ed25519")}, {}):
        again = enrolling.exchange(**said)
        assert (again.status, again.body["certificate"]) == (200, first)


def test_a_csr_that_comes_with_a_replay_only_is_not_pretended_to_be_kept(tenant: Tenant) -> None:
    enrolling = Enrolling(tenant)
    assert enrolling.exchange().body["certificate"] is None
    again = enrolling.exchange(csr=csr_of())
    assert (again.status, again.body["certificate"]) == (200, None)


def test_an_environment_that_was_closed_serves_neither_exchange_nor_replay(tenant: Tenant) -> None:
    from chalicelib.store.organizations import OrganizationItem

    enrolling = Enrolling(tenant, max_uses=2)
    assert enrolling.exchange().status == 201
    row = OrganizationItem.read(tenant.organization, f"environment#{tenant.environment}")
    assert row is not None
    row.update([OrganizationItem.status.set("deleting")])
    for answer in (enrolling.exchange(), tenant.exchange(enrolling.token["token"])):
        assert (answer.status, answer.code) == (403, "environment_closed")
    assert uses_of(tenant, enrolling.token) == 1
    row.delete()
    gone = tenant.exchange(enrolling.token["token"])
    assert (gone.status, gone.code) == (403, "environment_closed")
    refused = tenant.audit("enrollment_token", enrolling.token["enrollment_token_id"])
    assert "environment_closed" in {record["reason"] for record in refused}
