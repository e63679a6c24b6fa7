"""Law 8: the status is computed from presence."""

import pytest

from chalicelib import workers
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.silent import events_of, online, status_of
from tests.functional.laws.stories import set_presence


@pytest.mark.parametrize(
    ("silent_ms", "status"),
    [
        (0, "online"),
        (90_000, "online"),
        (90_001, "late"),
        (179_999, "late"),
        (180_000, "offline"),
        (86_400_000, "offline"),
    ],
)
def test_the_status_follows_from_the_time_of_silence(
    tenant: Tenant, clock: FrozenClock, silent_ms: int, status: str
) -> None:
    host = online(tenant)
    clock.now += silent_ms
    assert status_of(tenant, host) == status
    found = tenant.call("GET", f"/agents?status={status}").body["agents"]
    assert [agent["agent_id"] for agent in found] == [host.agent_id]


def test_the_status_follows_the_environments_interval(tenant: Tenant, clock: FrozenClock) -> None:
    quick = tenant.api.new_tenant(heartbeat_interval=10)
    host = online(quick)
    clock.now += 15_001
    assert status_of(quick, host) == "late"
    clock.now += 15_000
    assert status_of(quick, host) == "offline"


@pytest.mark.parametrize("status", ["enrolled", "quarantined", "revoked"])
def test_other_statuses_do_not_depend_on_time(
    tenant: Tenant, clock: FrozenClock, status: str
) -> None:
    host = tenant.enroll()
    if status != "enrolled":
        host.beat()
        set_presence(tenant, host.agent_id, AgentPresenceItem.status.set(status))
    clock.advance(days=2)
    assert status_of(tenant, host) == status


def test_who_comes_back_says_so_once(tenant: Tenant, swept: FrozenClock) -> None:
    host = online(tenant)
    swept.advance(seconds=900)
    workers.sweep(None)
    assert status_of(tenant, host) == "offline"
    for _ in range(2):
        assert host.beat().status == 200
        swept.advance(seconds=60)
    assert events_of(tenant, host) == [
        "agent.enrolled",
        "agent.offline",
        "agent.online",
        "agent.online",
    ]
    assert status_of(tenant, host) == "online"


def test_an_agent_that_cannot_keep_its_key_says_so(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    for unpersisted in (True, False):
        host.beat(unpersisted=unpersisted)
        seen = tenant.call("GET", f"/agents/{host.agent_id}").body
        assert seen["unpersisted"] is unpersisted
        clock.advance(seconds=60)
