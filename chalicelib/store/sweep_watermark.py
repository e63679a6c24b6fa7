"""Up to which bucket a sweep has worked: so that no outage of it loses what waits in an index."""

import msgspec

from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.connection import guarded
from chalicelib.store.denials import DenialItem


class Watermark(msgspec.Struct, frozen=True):
    """Where the watermark of a sweep lives.

    The swept indexes serve all tenants, and so do their watermarks; no organization id has the
    form of these keys, so they can meet nobody's row.
    """

    model: type[AgentPresenceItem] | type[DenialItem]
    pk: str


OVERDUE = Watermark(AgentPresenceItem, "overdue#watermark")
DENIALS = Watermark(DenialItem, "due#watermark")


def read(of: Watermark = OVERDUE) -> int | None:
    """The start (seconds since the epoch) of the newest bucket that was worked through."""
    row = of.model.read(of.pk)
    return None if row is None or row.swept_through is None else int(row.swept_through)


def advance(bucket: int, of: Watermark = OVERDUE) -> None:
    """Remember that a bucket and all before it were worked through."""
    with guarded():
        of.model(of.pk, swept_through=bucket).save()
