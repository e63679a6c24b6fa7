"""Under which names a setting is known, and which of them a file uses.

The documented names of older agents are understood, so that their files and install lines keep
working. An own name goes before every other one wherever it stands: ``BACKEND_URL`` in a process's
environment may belong to quite another program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rollcall_agent.env_file import EnvFile

URL: Final = "ROLLCALL_API_BASE_URL"
TOKEN: Final = "ROLLCALL_TOKEN"  # noqa: S105 - a name, not a secret
AGENT_ID: Final = "ROLLCALL_AGENT_ID"
AGENT_KEY: Final = "ROLLCALL_AGENT_API_KEY"


@dataclass(frozen=True)
class Family:
    """The names of one documented system. None where it has no name of its own for a value."""

    url: str
    token: str | None
    agent_id: str | None
    agent_key: str

    def holds(self, file: EnvFile) -> bool:
        """Tell whether a file uses one of these names."""
        names = (self.url, self.token, self.agent_id, self.agent_key)
        return any(name is not None and file.get(name) is not None for name in names)


# In the order of their precedence. SENSOR_ID is a sensor's own name and no identity, and the
# restic manager's file has no documented name for its host id.
FAMILIES: Final = (
    Family(URL, TOKEN, AGENT_ID, AGENT_KEY),
    Family("BYTEOR_API_BASE_URL", None, "BYTEOR_AGENT_ID", "BYTEOR_AGENT_API_KEY"),
    Family("RM_SERVER", "RM_TOKEN", None, "RM_AGENT_TOKEN"),
    Family("BACKEND_URL", "INSTALL_TOKEN", None, "SENSOR_TOKEN"),
)
URLS: Final = tuple(family.url for family in FAMILIES)
TOKENS: Final = tuple(family.token for family in FAMILIES if family.token)
AGENT_IDS: Final = tuple(family.agent_id for family in FAMILIES if family.agent_id)
AGENT_KEYS: Final = tuple(family.agent_key for family in FAMILIES)


def first(names: tuple[str, ...], *places: Callable[[str], str | None]) -> tuple[str, str] | None:
    """Return the first name that has a value in one of the places, with that value."""
    for name in names:
        for place in places:
            if value := place(name):
                return name, value
    return None


def names_of(file: EnvFile) -> Family:
    """Return the names to write values under that a file does not hold yet."""
    for family in FAMILIES:
        if family.holds(file):
            return family
    return FAMILIES[0]


def name_for(names: tuple[str, ...], preferred: str | None, file: EnvFile) -> str:
    """Return the name that a file uses for a value; else the preferred one, else our own."""
    for name in names:
        if file.get(name) is not None:
            return name
    return preferred or names[0]
