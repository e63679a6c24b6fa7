"""What only looks like two copies of one identity is never taken for it."""

import copy

import pytest

from chalicelib import workers
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import (
    INTERVAL,
    beat_until_heard,
    restarted,
    status_of,
)
from tests.functional.laws.faults import LOST, injected
from tests.functional.laws.stories import presence_of, set_presence

_P = AgentPresenceItem


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """An enrolled host that has not beaten."""
    return tenant.enroll()


def beaten(host: Host, clock: FrozenClock, *, times: int = 1) -> Host:
    """The host beats steadily."""
    for _ in range(times):
        assert host.beat().status == 200
        clock.advance(seconds=INTERVAL)
    return host


def events(tenant: Tenant, host: Host) -> list[str]:
    """What happened to the agent."""
    records = tenant.audit("agent", host.agent_id)
    return [record["event"] for record in records if record["outcome"] == "success"]


def test_a_lost_answer_is_none(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    beaten(host, clock)
    for _ in range(3):
        with injected(LOST, on="UpdateItem"):
            assert host.beat(nonce="n" * 16).status == 200
        assert host.repeat_beat(nonce="n" * 16).status == 200
        clock.advance(seconds=INTERVAL)
    assert "agent.quarantined" not in events(tenant, host)


@pytest.mark.parametrize("pause", [INTERVAL / 4, INTERVAL, 3600])
def test_twenty_restarts_in_a_row_are_none(
    tenant: Tenant, host: Host, clock: FrozenClock, pause: float
) -> None:
    for _ in range(20):
        assert restarted(host).beat().status == 200
        clock.advance(seconds=pause)
    assert host.beat().status == 200
    assert status_of(tenant, host) == "online"


@pytest.mark.parametrize("late", [0.5, 10, 16, 29])
@pytest.mark.parametrize("further", [0, 1], ids=["repeated", "not heard before"])
@pytest.mark.parametrize("silent", [INTERVAL, 3600])
def test_a_straggler_of_the_old_process_is_none_and_does_no_harm(
    tenant: Tenant, host: Host, clock: FrozenClock, late: float, further: int, silent: float
) -> None:
    """A request of the old process arrives up to 29 seconds after the new one's first beat."""
    assert host.beat(nonce="n" * 16).status == 200
    old = copy.copy(host)
    clock.advance(seconds=silent)
    assert restarted(host).beat().status == 200
    clock.advance(seconds=late)
    old.sequence += further
    answer = old.repeat_beat(nonce="n" * 16)
    assert (answer.status, answer.code) == (429, "heartbeat_too_soon")
    assert int(answer.headers["Retry-After"]) >= 30 - late
    clock.advance(seconds=INTERVAL - late)
    beaten(host, clock, times=3)
    assert "agent.quarantined" not in events(tenant, host)


def test_stragglers_of_a_process_before_the_last_are_none(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    assert host.beat().status == 200
    first = copy.copy(host)
    clock.advance(seconds=INTERVAL)
    assert restarted(host).beat().status == 200
    second = copy.copy(host)
    clock.advance(seconds=INTERVAL / 4)
    assert restarted(host).beat().status == 200
    clock.advance(seconds=14)
    for old in (first, second):
        assert old.beat().code == "heartbeat_too_soon"
    clock.advance(seconds=INTERVAL)
    beaten(host, clock)
    assert status_of(tenant, host) == "online"


def test_the_same_instance_with_a_lower_sequence_is_none(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    beaten(host, clock)
    snapshot = copy.copy(host)
    beaten(host, clock, times=4)
    assert snapshot.beat().code == "sequence_stale"
    snapshot.sequence = 5
    assert beaten(snapshot, clock).sequence == 6
    assert status_of(tenant, host) == "online"


@pytest.mark.parametrize("back", [0, 1, 3], ids=["equal", "lower", "much lower"])
def test_an_earlier_instance_of_a_restored_snapshot_is_none(
    tenant: Tenant, host: Host, clock: FrozenClock, back: int
) -> None:
    beaten(host, clock, times=5)
    snapshot = copy.copy(host)
    snapshot.sequence -= back + 1
    beaten(restarted(host), clock)
    # From here on only what was restored is there.
    beaten(snapshot, clock, times=back + 4)
    assert status_of(tenant, host) == "online"


def test_an_earlier_instance_that_was_silent_for_long_is_none(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    beaten(host, clock, times=2)
    snapshot = copy.copy(host)
    beaten(restarted(host), clock, times=4)
    beaten(snapshot, clock, times=6)
    assert status_of(tenant, host) == "online"


def test_offline_and_back_is_none(tenant: Tenant, host: Host, swept: FrozenClock) -> None:
    for _ in range(3):
        beaten(host, swept, times=2)
        swept.advance(seconds=1200)
        workers.sweep(None)
        assert status_of(tenant, host) == "offline"
        beaten(restarted(host), swept)
    assert "agent.quarantined" not in events(tenant, host)


def test_a_host_that_is_told_to_wait_and_waits_is_none(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    for _ in range(6):
        assert beat_until_heard(restarted(host), clock).status == 200
        assert beat_until_heard(host, clock).status == 200
    assert status_of(tenant, host) == "online"


def test_a_row_from_before_instances_were_noted_is_no_clone(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    beaten(host, clock)
    set_presence(tenant, host.agent_id, _P.instance_since.remove(), _P.source_address.remove())
    beaten(host, clock)
    beaten(restarted(host), clock, times=2)
    assert presence_of(tenant, host.agent_id).instance == host.instance
