"""Agents that beat and fall silent, and what is said of them."""

from tests.functional.api import Host, Tenant

MINUTE = 60_000
BUCKET_MS = 300_000
OVERDUE_MS = 3 * MINUTE


def status_of(tenant: Tenant, host: Host) -> str:
    seen = tenant.call("GET", f"/agents/{host.agent_id}").body
    listed = tenant.call("GET", "/agents").body["agents"]
    assert [agent["status"] for agent in listed if agent["agent_id"] == host.agent_id] == [
        seen["status"]
    ]
    return str(seen["status"])


def events_of(tenant: Tenant, host: Host) -> list[str]:
    return sorted(record["event"] for record in tenant.audit("agent", host.agent_id))


def online(tenant: Tenant) -> Host:
    host = tenant.enroll()
    assert host.beat().status == 200
    return host
