"""What belongs to a whole environment, kept by a worker for ten seconds."""

import zlib

import msgspec

from chalicelib.errors import Unavailable
from chalicelib.store import organizations
from chalicelib.store.organizations import OrganizationItem

KEPT_MS = 10_000
_REMEMBERED = 1_000


class Control(msgspec.Struct, frozen=True):
    """An environment's control values. Never an authorization: they may be ten seconds old."""

    heartbeat_interval: int
    read_at: int
    slowdown: int = 0
    agent_version: str | None = None
    rollout_percent: int = 100

    @property
    def interval(self) -> int:
        """How often agents are to beat now, in seconds."""
        return max(self.heartbeat_interval, self.slowdown)

    def version_for(self, agent: str) -> str | None:
        """The version that an agent is to have, once the roll-out has come to it.

        An agent's place in the roll-out follows from its identifier and the version, so that each
        step keeps those of the step before, and another version begins with others.
        """
        if self.agent_version is None:
            return None
        place = zlib.crc32(f"{agent} {self.agent_version}".encode()) % 100
        return self.agent_version if place < self.rollout_percent else None


class Controls:
    """The control rows that this worker has seen lately."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Control] = {}

    def of(self, organization: str, environment: str, now: int) -> Control:
        """The control values of an environment.

        A row that cannot be read at the moment does not stop a heartbeat: the last known values
        serve, or the defaults.
        """
        key = (organization, environment)
        kept = self._kept.get(key)
        if kept is not None and 0 <= now - kept.read_at < KEPT_MS:
            return kept
        try:
            row = organizations.find_environment(organization, environment)
        except Unavailable:
            return kept or Control(organizations.DEFAULT_HEARTBEAT_INTERVAL, now)
        fresh = of_row(row, now)
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[key] = fresh
        return fresh


def of_row(row: OrganizationItem | None, now: int) -> Control:
    """The control values that a row holds, or the defaults."""
    if row is None:
        return Control(organizations.DEFAULT_HEARTBEAT_INTERVAL, now)
    percent = row.agent_rollout_percent
    return Control(
        heartbeat_interval=int(row.heartbeat_interval or organizations.DEFAULT_HEARTBEAT_INTERVAL),
        read_at=now,
        slowdown=int(row.slowdown or 0),
        agent_version=row.agent_version,
        rollout_percent=100 if percent is None else int(percent),
    )
