"""Law 1 beside machines: what lives unheard, or unseen, is not taken for a host that is gone."""

import secrets
from typing import Any

from chalicelib.store import machines
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import interleaved
from tests.functional.laws.stories import host_of, presence_of, rows_of, set_presence

DAY = 86_400
_P = AgentPresenceItem


def machine_id() -> str:
    return f"{MARK}-{secrets.token_hex(16)}"


def shown(tenant: Tenant, host: Host) -> dict[str, Any]:
    answer = tenant.call("GET", f"/agents/{host.agent_id}")
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    return answer.body


def decide(tenant: Tenant, host: Host, what: str, **body: Any) -> None:
    assert tenant.call("POST", f"/agents/{host.agent_id}/{what}", body).status == 200


def quarantined_for_hours(tenant: Tenant, clock: FrozenClock, machine: str) -> Host:
    """It beats all the time, and its beats leave no mark."""
    host = tenant.enroll(machine_id=machine)
    assert host.beat().status == 200
    clock.advance(seconds=60)
    decide(tenant, host, "quarantine")
    for _ in range(3):
        clock.advance(hours=1)
        assert host.beat().code == "agent_quarantined"
    return host


def replacing(tenant: Tenant) -> str:
    token = tenant.mint(replace_machine=True, replace_offline_seconds=1_800)["token"]
    assert isinstance(token, str)
    return token


def come_anew(tenant: Tenant, machine: str, token: str | None = None) -> Host:
    answer = tenant.exchange(token or replacing(tenant), machine_id=machine)
    assert answer.status == 201, answer.body
    return host_of(tenant.api, answer)


def test_the_silence_of_a_released_agent_begins_with_its_release(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    host = quarantined_for_hours(tenant, clock, machine)
    decide(tenant, host, "release", decision="keep")
    clock.advance(seconds=1_800)
    second = come_anew(tenant, machine)
    assert shown(tenant, second)["same_machine"] == [host.agent_id]
    assert host.beat().status == 200


def test_a_released_agent_that_stays_silent_is_replaced_as_any_other(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    host = quarantined_for_hours(tenant, clock, machine)
    decide(tenant, host, "release", decision="keep")
    clock.advance(seconds=1_801)
    assert shown(tenant, host)["replaced_by"] is None
    second = come_anew(tenant, machine)
    assert shown(tenant, host)["replaced_by"] == second.agent_id


def test_a_quarantine_and_a_release_during_the_exchange_keep_the_agent(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    host = quarantined_for_hours(tenant, clock, machine)
    decide(tenant, host, "release", decision="keep")
    clock.advance(hours=1)
    # The sweep came by.
    set_presence(tenant, host.agent_id, _P.status.set("offline"), _P.due.remove())
    seen = presence_of(tenant, host.agent_id).status

    def meanwhile() -> None:
        decide(tenant, host, "quarantine")
        decide(tenant, host, "release", decision="keep")

    token = replacing(tenant)
    with interleaved(meanwhile, on="TransactWriteItems"):
        second = come_anew(tenant, machine, token)
    # All that the exchange saw is as it was, but for the release.
    assert presence_of(tenant, host.agent_id).status == seen
    assert shown(tenant, second)["same_machine"] == [host.agent_id]
    assert host.beat().status == 200


def enrolled_on(tenant: Tenant, machine: str, number: int) -> list[Host]:
    token = tenant.mint(max_uses=number)["token"]
    return [
        host_of(tenant.api, tenant.exchange(token, hostname=f"host-{n}", machine_id=machine))
        for n in range(number)
    ]


def crowded(tenant: Tenant) -> dict[str, bool]:
    return {
        agent["agent_id"]: agent["machine_crowded"]
        for agent in tenant.call("GET", "/agents?limit=100").body["agents"]
    }


def test_every_agent_of_a_machine_that_was_full_once_is_told_so_for_good(tenant: Tenant) -> None:
    machine = machine_id()
    hosts = enrolled_on(tenant, machine, machines.MOST_AGENTS)
    assert not any(crowded(tenant).values())
    hosts += enrolled_on(tenant, machine, 2)
    alone = tenant.enroll(machine_id=machine_id())
    for host in hosts[: machines.MOST_AGENTS]:
        decide(tenant, host, "revoke")
    # The two that are left do not know of each other, and say that there may be others.
    told = crowded(tenant)
    assert {agent for agent, is_so in told.items() if is_so} == {h.agent_id for h in hosts[-2:]}
    assert told[alone.agent_id] is False
    late = tenant.enroll(machine_id=machine)
    assert shown(tenant, late)["machine_crowded"] is True


def test_facts_put_an_agent_on_a_full_machine_and_make_it_crowded(tenant: Tenant) -> None:
    machine = machine_id()
    hosts = enrolled_on(tenant, machine, machines.MOST_AGENTS)
    mover = tenant.enroll()
    assert mover.beat().status == 200
    said = {"facts_sha256": "0" * 64, "facts": {"machine_id": machine}}
    assert mover.call("PUT", "/facts", said).status == 200
    assert crowded(tenant) == dict.fromkeys((h.agent_id for h in [*hosts, mover]), True)


def test_no_exchange_replaces_an_agent_of_a_crowded_machine(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    hosts = enrolled_on(tenant, machine, machines.MOST_AGENTS + 1)
    for host in hosts[1:-1]:
        decide(tenant, host, "revoke")
    clock.advance(seconds=DAY)
    # In the row stands one alone, and the one that the row had no room for may be the host.
    (row,) = (one for one in rows_of(tenant, "agent_identities") if "crowded" in one)
    assert len(row["agents"]["SS"]) == 1
    second = come_anew(tenant, machine)
    assert shown(tenant, second)["same_machine"] == [hosts[0].agent_id]
    decide(tenant, second, "replace", former=hosts[0].agent_id)


def test_a_machine_that_gets_crowded_during_the_exchange_loses_no_agent(
    tenant: Tenant, clock: FrozenClock
) -> None:
    from chalicelib.store.agent_identities import AgentIdentityItem

    machine = machine_id()
    host = tenant.enroll(machine_id=machine)
    clock.advance(seconds=DAY)
    (row,) = (one for one in rows_of(tenant, "agent_identities") if "agents" in one)

    def meanwhile() -> None:
        item = AgentIdentityItem(row["pk"]["S"])
        item.update([AgentIdentityItem.crowded.set(value=True)])

    token = replacing(tenant)
    with interleaved(meanwhile, on="TransactWriteItems"):
        second = come_anew(tenant, machine, token)
    assert shown(tenant, host)["replaced_by"] is None
    assert shown(tenant, second)["same_machine"] == [host.agent_id]
