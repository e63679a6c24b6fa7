"""Law 5: rotation cannot strand an agent."""

from datetime import datetime

import pytest

from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, copy_of, restarted
from tests.functional.laws.faults import (
    ALWAYS,
    CONFLICT,
    LOST,
    OF_A_WRITE,
    Fault,
    injected,
    interleaved,
)
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of, set_presence

_P = AgentPresenceItem
NO_ARTIFACT = "/artifacts/art_" + "0" * 20


@pytest.fixture
def host(tenant: Tenant, clock: FrozenClock) -> Host:
    """A host that beats."""
    host = tenant.enroll()
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    return host


def rotate(host: Host) -> Answer:
    return host.call("POST", "/runtime-key/rotate", {})


def with_new_key(host: Host) -> Host:
    """The same process with the key that a rotation gives it."""
    answer = rotate(host)
    assert answer.status == 201, answer.body
    fresh = copy_of(host)
    fresh.key, fresh.instance, fresh.sequence = (
        answer.body["runtime_key"], host.instance, host.sequence,
    )  # fmt: skip
    return fresh


def rotation_of(tenant: Tenant, host: Host) -> str:
    return str(tenant.call("GET", f"/agents/{host.agent_id}").body["key_rotation"])


def test_both_keys_live_until_the_new_ones_first_use(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    fresh = with_new_key(host)
    assert rotation_of(tenant, host) == "pending"
    assert host.beat().status == 200
    clock.advance(days=30)
    for one in (host, fresh):
        # Another route takes the pending key too, and leaves it pending.
        assert one.call("GET", NO_ARTIFACT).code == "artifact_not_found"
    assert rotation_of(tenant, host) == "pending"
    fresh.sequence = host.sequence
    assert fresh.beat().status == 200
    assert rotation_of(tenant, host) == "none"
    clock.advance(seconds=INTERVAL)
    # The old key is worth nothing from then on, on no route.
    for answer in (host.beat(), host.call("GET", NO_ARTIFACT)):
        assert (answer.status, answer.code) == (401, "key_superseded")
    assert fresh.beat().status == 200


def test_what_the_answer_says(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    answer = rotate(host)
    assert answer.headers["Cache-Control"] == "no-store"
    times = {
        name: datetime.fromisoformat(answer.body[name]).timestamp() * 1000
        for name in ("runtime_key_issued_at", "runtime_key_expires_at", "server_time")
    }
    assert times["runtime_key_issued_at"] == times["server_time"] == clock.now
    assert times["runtime_key_expires_at"] == clock.now + 90 * 86_400_000
    (record,) = (
        one for one in tenant.audit("agent", host.agent_id) if one["event"] == "agent.key_rotated"
    )
    pending = bytes(presence_of(tenant, host.agent_id).pending_key)
    assert record["detail"]["runtime_key_sha256"] == pending.hex()


def test_a_lost_answer_is_asked_for_again_after_a_minute(host: Host, clock: FrozenClock) -> None:
    lost = with_new_key(host)
    clock.advance(seconds=59)
    answer = rotate(host)
    assert (answer.status, answer.code) == (429, "rotation_too_soon")
    clock.advance(seconds=int(answer.headers["Retry-After"]))
    fresh = with_new_key(host)
    assert lost.beat().code == "key_superseded"
    assert fresh.beat().status == 200
    assert host.beat().code == "key_superseded"


def test_an_agent_that_dies_at_any_step_has_a_key_that_is_taken(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    """It keeps the old key until the new one was accepted: whichever it finds, it gets on."""
    for crash in ("before the answer", "before it is written", "before its use", "after its use"):
        fresh = with_new_key(host)
        if crash == "after its use":
            assert fresh.beat().status == 200
            clock.advance(seconds=INTERVAL)
        found = fresh if crash in {"before its use", "after its use"} else host
        assert restarted(found).beat().status == 200, crash
        clock.advance(seconds=INTERVAL)
        host = found
    assert tenant.call("GET", f"/agents/{host.agent_id}").body["status"] in {"online", "late"}


def test_the_pending_key_may_rotate_and_is_the_agents_by_that(
    host: Host, clock: FrozenClock
) -> None:
    second = with_new_key(host)
    clock.advance(seconds=INTERVAL)
    third = with_new_key(second)
    assert host.beat().code == "key_superseded"
    assert second.beat().status == 200
    clock.advance(seconds=INTERVAL)
    third.sequence = second.sequence
    assert third.beat().status == 200
    assert second.beat().code == "key_superseded"


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
def test_one_fault_is_no_failure(tenant: Tenant, host: Host, fault: Fault) -> None:
    with injected(fault, on="TransactWriteItems"):
        fresh = with_new_key(host)
    assert fresh.beat().status == 200
    events = [one["event"] for one in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.key_rotated") == 1


@pytest.mark.parametrize("fault", [LOST, CONFLICT], ids=str)
def test_a_lasting_fault_is_our_fault_and_costs_no_key(
    host: Host, clock: FrozenClock, fault: Fault
) -> None:
    with injected(fault, on="TransactWriteItems", times=ALWAYS):
        assert rotate(host).status == 503
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    assert with_new_key(host).beat().status == 200


def test_of_two_rotations_at_once_one_is_told_to_wait(host: Host) -> None:
    with interleaved(lambda: rotate(host), on="TransactWriteItems") as others:
        answer = rotate(host)
    assert others[0].status == 201
    assert (answer.status, answer.code) == (429, "rotation_too_soon")
    host.key = others[0].body["runtime_key"]
    assert host.beat().status == 200


def test_of_two_copies_that_rotate_the_one_whose_key_is_used_remains(
    host: Host, clock: FrozenClock
) -> None:
    first = with_new_key(host)
    clock.advance(seconds=INTERVAL)
    other = with_new_key(host)
    assert first.beat().code == "key_superseded"
    # It has the key from before, which lives until the other one uses its own.
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    other.sequence = host.sequence
    assert other.beat().status == 200
    assert host.beat().code == "key_superseded"


def test_a_beat_in_the_middle_of_a_rotation_harms_neither(host: Host, clock: FrozenClock) -> None:
    with interleaved(host.beat, on="TransactWriteItems") as others:
        fresh = with_new_key(host)
    assert others[0].status == 200
    clock.advance(seconds=INTERVAL)
    assert fresh.beat().status == 200


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_what_ends_the_agent_wins(tenant: Tenant, host: Host, when: str) -> None:
    answer = rotated_beside(tenant, host, when, "revoke")
    assert (answer.status, answer.code) == (401, "key_revoked")
    assert presence_of(tenant, host.agent_id).pending_key is None


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_quarantine_stops_no_rotation(tenant: Tenant, host: Host, when: str) -> None:
    answer = rotated_beside(tenant, host, when, "quarantine")
    assert answer.status == 201
    host.key = answer.body["runtime_key"]
    assert host.beat().code == "agent_quarantined"
    assert rotation_of(tenant, host) == "pending"


def rotated_beside(tenant: Tenant, host: Host, when: str, change: str) -> Answer:
    def end() -> Answer:
        return tenant.call("POST", f"/agents/{host.agent_id}/{change}")

    if when == "before":
        end()
        return rotate(host)
    with interleaved(end, on="TransactWriteItems"):
        return rotate(host)


def test_who_has_no_right_to_a_key_gets_none(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    fresh = tenant.enroll()
    assert rotate(fresh).code == "not_active"
    set_presence(tenant, host.agent_id, _P.scopes.set({"agent:artifact_upload"}))
    assert rotate(host).code == "scope_missing"
    set_presence(tenant, host.agent_id, _P.key.set(b"another"))
    assert rotate(host).code == "key_superseded"
    clock.advance(days=90)
    with counted() as requests:
        assert rotate(host).code == "key_expired"
    assert requests.operations == []
