"""What an agent's status is, honestly: computed from presence, at the moment of asking."""

from chalicelib.flows.heartbeat import MISSED_BEATS, told_interval
from chalicelib.store.agent_presence import OFFLINE, ONLINE, AgentPresenceItem

LATE = "late"
_LATE_AFTER = 1.5
STATUSES = ("enrolled", "online", "late", "offline", "quarantined", "revoked")


def status_of(row: AgentPresenceItem | None, now: int) -> str:
    """One of `STATUSES`.

    Online for one and a half intervals after a beat, late until three, then offline, whether
    or not the sweep has come by yet. The interval is the one that the agent was told with its last
    beat: it cannot know yet of one that came later.

    A quarantined agent's beats leave no mark. So after a release it is late, and not offline,
    until it had three intervals to be accepted again.
    """
    if row is None or row.status is None:
        return "unknown"
    if row.status != ONLINE:
        return str(row.status)
    silent, interval = now - int(row.last_seen or 0), told_interval(row)
    if silent <= _LATE_AFTER * interval:
        return ONLINE
    if row.released_at is not None:
        silent = min(silent, now - int(row.released_at))
    return LATE if silent < MISSED_BEATS * interval else OFFLINE
