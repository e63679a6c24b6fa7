"""A rotation that an operator asks for is not lost with an answer (law 5)."""

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, copy_of, restarted
from tests.functional.laws.faults import OF_A_WRITE, Fault, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of


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


def request(tenant: Tenant, host: Host) -> Answer:
    return tenant.call("POST", f"/agents/{host.agent_id}/runtime-key/request-rotation")


def test_the_next_beats_tell_the_agent_until_it_has_rotated(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    for _ in range(2):
        answer = request(tenant, host)
        assert (answer.status, answer.body["key_rotation"]) == (200, "requested")
    for _ in range(2):
        with counted() as requests:
            told = host.beat()
        assert (told.status, told.body["rotate_key"]) == (200, True)
        assert requests.writes == ["UpdateItem", "UpdateItem"]
        clock.advance(seconds=INTERVAL)
    assert restarted(host).beat().body["rotate_key"] is True
    clock.advance(seconds=INTERVAL)
    fresh = with_new_key(host)
    assert rotation_of(tenant, host) == "pending"
    with counted() as requests:
        told = fresh.beat()
    assert (told.status, told.body["rotate_key"]) == (200, False)
    # The wish ends with the first use of the new key, and that beat alone pays for it.
    assert requests.writes == ["UpdateItem", "UpdateItem"]
    assert rotation_of(tenant, host) == "none"
    clock.advance(seconds=INTERVAL)
    with counted() as requests:
        assert fresh.beat().body["rotate_key"] is False
    assert requests.writes == ["UpdateItem"]
    events = [one["event"] for one in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.key_rotation_requested") == 1


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
def test_one_fault_of_a_wish_is_no_failure(tenant: Tenant, host: Host, fault: Fault) -> None:
    with injected(fault, on="TransactWriteItems"):
        assert request(tenant, host).body["key_rotation"] == "requested"
    events = [one["event"] for one in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.key_rotation_requested") == 1


def test_a_wish_is_not_lost_with_the_answer_to_its_rotation(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    request(tenant, host)
    with_new_key(host)
    for _ in range(3):
        clock.advance(seconds=INTERVAL)
        assert host.beat().body["rotate_key"] is True
    fresh = with_new_key(host)
    clock.advance(seconds=INTERVAL)
    assert fresh.beat().body["rotate_key"] is False
    assert presence_of(tenant, host.agent_id).rotation_requested is None


def test_a_new_process_that_comes_with_the_new_key_ends_the_wish_too(
    tenant: Tenant, host: Host
) -> None:
    request(tenant, host)
    fresh = restarted(with_new_key(host))
    assert fresh.beat().body["rotate_key"] is False
    assert rotation_of(tenant, host) == "none"


def test_a_wish_after_a_rotation_is_another_one(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    """The row has the key twice from then on: that it is shown does not end the new wish."""
    fresh = with_new_key(host)
    assert fresh.beat().status == 200
    assert request(tenant, fresh).body["key_rotation"] == "requested"
    for again in (False, True):
        clock.advance(seconds=INTERVAL)
        told = restarted(fresh).beat() if again else fresh.beat()
        assert told.body["rotate_key"] is True


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
def test_one_fault_of_the_beat_that_ends_a_wish_is_no_failure(
    tenant: Tenant, host: Host, fault: Fault
) -> None:
    request(tenant, host)
    fresh = with_new_key(host)
    with injected(fault, on="UpdateItem"):
        answer = fresh.beat()
    assert (answer.status, answer.body["rotate_key"]) == (200, False)
    assert rotation_of(tenant, host) == "none"


def test_a_wish_in_the_middle_of_the_first_use_is_not_lost(tenant: Tenant, host: Host) -> None:
    request(tenant, host)
    fresh = with_new_key(host)
    fresh.sequence += 1

    def beat() -> Answer:
        return fresh.repeat_beat(nonce="n" * 20)

    def again() -> Answer:
        assert beat().body["rotate_key"] is False
        return request(tenant, host)

    with interleaved(again, first=2, on="UpdateItem") as others:
        answer = beat()
    assert others[0].body["key_rotation"] == "requested"
    assert (answer.status, answer.body["rotate_key"]) == (200, True)


def test_of_a_revoked_agent_nothing_is_wished(tenant: Tenant, host: Host) -> None:
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    answer = request(tenant, host)
    assert (answer.status, answer.code) == (409, "agent_revoked")
