"""The host as the agent's settings describe it.

The service manager does not read the env file into the process's environment, and yet what an
operator writes there about the host must count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rollcall_agent.facts.configured import ADMIN_USER, SSH_PORTS
from rollcall_agent.facts.host import Host
from rollcall_agent.facts.names import HOSTNAME_FILE, OS_RELEASE_FILE

SETTINGS: Final = (HOSTNAME_FILE, OS_RELEASE_FILE, *SSH_PORTS, ADMIN_USER)


def described_by(value: Callable[[str], str | None], environment: Mapping[str, str]) -> Host:
    """Return this host.

    Args:
        value: Looks a setting up in the order of precedence.
        environment: The process's own, where signs of a container are found.
    """
    named = {name: found for name in SETTINGS if (found := value(name))}
    return Host(environment={**environment, **named})
