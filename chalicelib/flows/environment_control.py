"""What belongs to a whole environment, kept by a worker for ten seconds."""

import msgspec

from chalicelib.errors import Unavailable
from chalicelib.store import organizations

KEPT_MS = 10_000
_REMEMBERED = 1_000


class Control(msgspec.Struct, frozen=True):
    """An environment's control values. Never an authorization: they may be ten seconds old."""

    heartbeat_interval: int
    read_at: int


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
        interval = (row and row.heartbeat_interval) or organizations.DEFAULT_HEARTBEAT_INTERVAL
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[key] = fresh = Control(int(interval), now)
        return fresh
