"""Decommissioning: a host ends its own agent for good, or an operator does; it leaves the lists."""

from typing import Any

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import LOST, injected, interleaved
from tests.functional.laws.stories import names_of, rows_of

MACHINE = f"{MARK}-machine"


def evidence(tenant: Tenant, host: Host, event: str) -> dict[str, Any]:
    (record,) = (one for one in tenant.audit("agent", host.agent_id) if one["event"] == event)
    return record


def decommission(tenant: Tenant, host: Host, **body: Any) -> Answer:
    return tenant.call("POST", f"/agents/{host.agent_id}/decommission", body)


def listed(tenant: Tenant) -> list[str]:
    return [agent["agent_id"] for agent in tenant.call("GET", "/agents").body["agents"]]


@pytest.mark.parametrize("beats", [True, False])
def test_a_host_ends_its_own_agent_which_leaves_the_lists(tenant: Tenant, beats: bool) -> None:
    host = tenant.enroll(machine_id=MACHINE)
    if beats:
        host.beat()
    answer = host.call("POST", "/decommission", {"note": "scrapped"})
    assert (answer.status, answer.body) == (200, {"agent_id": host.agent_id, "status": "revoked"})
    assert listed(tenant) == []
    assert names_of(tenant) == []
    for refused in (host.beat(), host.call("POST", "/decommission")):
        assert (refused.status, refused.code) == (401, "key_revoked")
    last = evidence(tenant, host, "agent.decommissioned")
    assert last["actor"]["type"] == "agent"
    assert last["detail"] == {"agent_id": host.agent_id, "note": "scrapped"}
    assert not any("agents" in row for row in rows_of(tenant, "agent_identities"))


def test_a_quarantined_copy_cannot_end_the_other(tenant: Tenant) -> None:
    from chalicelib.store.agent_presence import AgentPresenceItem
    from tests.functional.laws.stories import set_presence

    host = tenant.enroll()
    host.beat()
    set_presence(tenant, host.agent_id, AgentPresenceItem.status.set("quarantined"))
    refused = host.call("POST", "/decommission")
    assert (refused.status, refused.code) == (403, "agent_quarantined")
    assert listed(tenant) == [host.agent_id]


def test_a_quarantine_at_that_moment_comes_before_the_agents_own_end(tenant: Tenant) -> None:
    from chalicelib.store.agent_presence import AgentPresenceItem
    from tests.functional.laws.stories import set_presence

    host = tenant.enroll()
    host.beat()
    change = AgentPresenceItem.status.set("quarantined")
    with interleaved(lambda: set_presence(tenant, host.agent_id, change), on="TransactWriteItems"):
        refused = host.call("POST", "/decommission")
    assert (refused.status, refused.code) == (403, "agent_quarantined")


@pytest.mark.parametrize("revoked", [False, True])
def test_an_operator_decommissions_an_agent_as_often_as_they_like(
    tenant: Tenant, clock: FrozenClock, revoked: bool
) -> None:
    host = tenant.enroll(machine_id=MACHINE)
    host.beat()
    if revoked:
        tenant.call("POST", f"/agents/{host.agent_id}/revoke", {})
        assert listed(tenant) == [host.agent_id]
    first = decommission(tenant, host, note="scrapped")
    clock.advance(seconds=5)
    again = decommission(tenant, host)
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    assert first.body["status"] == "revoked"
    assert listed(tenant) == []
    refused = host.beat()
    assert (refused.status, refused.code) == (401, "key_revoked")
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.decommissioned") == 1
    assert events.count("agent.revoked") == int(revoked)


def test_a_lost_answer_of_a_decommission_is_ones_own_end(tenant: Tenant) -> None:
    for by in (lambda host: host.call("POST", "/decommission"), lambda h: decommission(tenant, h)):
        host = tenant.enroll()
        host.beat()
        with injected(LOST, on="TransactWriteItems"):
            assert by(host).status == 200
        events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
        assert events.count("agent.decommissioned") == 1


def test_the_host_may_come_back_under_its_name(tenant: Tenant) -> None:
    host = tenant.enroll(machine_id=MACHINE, name="db-1")
    host.call("POST", "/decommission")
    again = tenant.enroll(machine_id=MACHINE, name="db-1")
    assert tenant.call("GET", f"/agents/{again.agent_id}").body["same_machine"] == []
