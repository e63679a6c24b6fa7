"""What a host says about itself when it enrolls."""

from __future__ import annotations

from rollcall_agent import __version__
from rollcall_agent.facts import machine_id, names
from rollcall_agent.facts.host import Host


def collect(host: Host | None = None) -> dict[str, str]:
    """Return the facts that go with an exchange; what is not known is left out."""
    host = host or Host()
    facts = {
        "hostname": names.hostname(host),
        "os": names.os_name(host),
        "arch": names.architecture(host.machine()),
        "agent_version": __version__,
        "machine_id": machine_id.hashed(host) or "",
    }
    return {name: value for name, value in facts.items() if value}
