"""Looking at the evidence, by time and by resource."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from chalicelib.store import audit_records
from chalicelib.store.audit_records import AuditRecordItem
from chalicelib.store.paging import Span

LONGEST_RANGE_MS = 31 * 86_400_000
DEFAULT_RANGE_MS = 86_400_000
RANGE = "before until, and at most 31 days before"
"""What `since` must be, for the caller."""


class AuditQuery(msgspec.Struct, frozen=True):
    """Which records: a time range (milliseconds, inclusive) and perhaps one resource."""

    since: int
    until: int
    resource: tuple[str, str] | None
    newest_first: bool


def is_range(since: int, until: int) -> bool:
    """Whether two times are a range that may be asked for."""
    return 0 <= since <= until <= since + LONGEST_RANGE_MS


def page(
    organization: str, wanted: AuditQuery, *, after: str | None, limit: int
) -> tuple[list[AuditRecordItem], str | None]:
    """Records in order of time, and after which one the list goes on."""
    found = rows(organization, wanted, Span(after, limit, wanted.newest_first))
    shown = list(islice(found, limit + 1))
    more = len(shown) > limit
    return shown[:limit], str(shown[limit - 1].sort) if more else None


def rows(
    organization: str, wanted: AuditQuery, span: Span, *, consistent: bool = False
) -> Iterator[AuditRecordItem]:
    """All records of a query from a position on, read lazily.

    `consistent`: with all that was written before; those of one resource come from an index,
    which cannot promise it.
    """
    if wanted.resource is None:
        return audit_records.between(
            organization, span, since=wanted.since, until=wanted.until, consistent=consistent
        )
    return audit_records.of_resource(
        organization, *wanted.resource, span, since=wanted.since, until=wanted.until
    )
