"""Up to which bucket the presence sweep has worked: so that no outage of it loses an agent."""

from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.connection import guarded

# The overdue index serves all tenants, and so does its watermark; no organization id has this
# form, so the key can meet nobody's agent.
_PK = "overdue#watermark"


def read() -> int | None:
    """The start (seconds since the epoch) of the newest bucket that was worked through."""
    row = AgentPresenceItem.read(_PK)
    return None if row is None or row.swept_through is None else int(row.swept_through)


def advance(bucket: int) -> None:
    """Remember that a bucket and all before it were worked through."""
    with guarded():
        AgentPresenceItem(_PK, swept_through=bucket).save()
