"""Facts that whoever set the host up wrote down: how it is reached and administered."""

from __future__ import annotations

import re
from typing import Final

from rollcall_agent import __version__
from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import fact

SSH_PORTS: Final = ("ROLLCALL_SSH_PORT", "SENSOR_PORT")
ADMIN_USER: Final = "ROLLCALL_ADMIN_USER"
DEFAULT_SSH_PORT: Final = 22
_HIGHEST_PORT: Final = 65535
_PORT: Final = re.compile(r"[0-9]{1,5}")


def ssh_port(host: Host) -> int:
    """Return the port that the environment names, or the usual one."""
    for name in SSH_PORTS:
        text = host.environment.get(name, "").strip()
        if _PORT.fullmatch(text) and 0 < int(text) <= _HIGHEST_PORT:
            return int(text)
    return DEFAULT_SSH_PORT


def collect(host: Host) -> dict[str, object]:
    """Return what is configured, and which agent this is."""
    return {
        "agent_version": __version__,
        "ssh_port": ssh_port(host),
        "admin_user": fact(host.environment.get(ADMIN_USER, "")),
    }
