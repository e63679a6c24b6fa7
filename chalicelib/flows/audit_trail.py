"""Looking at the evidence, by time and by resource."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from chalicelib.store import audit_records
from chalicelib.store.audit_records import AuditRecordItem
from chalicelib.store.paging import Span

LONGEST_RANGE_MS = 31 * 86_400_000
DEFAULT_RANGE_MS = 86_400_000


class AuditQuery(msgspec.Struct, frozen=True):
    """Which records: a time range (milliseconds, inclusive) and perhaps one resource."""

    since: int
    until: int
    resource: tuple[str, str] | None
    newest_first: bool


def page(
    organization: str, wanted: AuditQuery, *, after: str | None, limit: int
) -> tuple[list[AuditRecordItem], str | None]:
    """Records in order of time, and after which one the list goes on."""
    rows = list(
        islice(_rows(organization, wanted, Span(after, limit, wanted.newest_first)), limit + 1)
    )
    more = len(rows) > limit
    return rows[:limit], str(rows[limit - 1].sort) if more else None


def _rows(organization: str, wanted: AuditQuery, span: Span) -> Iterator[AuditRecordItem]:
    if wanted.resource is None:
        return audit_records.between(organization, span, since=wanted.since, until=wanted.until)
    return audit_records.of_resource(
        organization, *wanted.resource, span, since=wanted.since, until=wanted.until
    )
