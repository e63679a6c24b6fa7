"""Denied attempts as the guard tells of them, and what is recorded of them."""

from typing import Any

from chalicelib import runtime, workers
from chalicelib.evidence.record import Origin
from chalicelib.store import audit_records
from chalicelib.store.audit_records import AuditRecordItem
from chalicelib.store.denials import DenialItem
from chalicelib.store.paging import Span
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock

ROUTE = "POST /api/v1/agents/{agent_id}/revoke"
REASON = "scope_missing"
BUCKET_MS = 300_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def origin(tenant: Tenant, actor: str = "key_1", **more: Any) -> Origin:
    said = {"request_id": "r-1", "source_address": "192.0.2.7", **more}
    return Origin(tenant.organization, "organization_key", actor, now=tenant.api.clock.now, **said)


def deny(tenant: Tenant, times: int = 1, *, actor: str = "key_1", **more: Any) -> None:
    """Denied attempts, as the guard tells of them."""
    named = {"route": ROUTE, "reason": REASON, **more}
    for _ in range(times):
        runtime.current().denials.record(origin(tenant, actor), **named)


def records(tenant: Tenant) -> list[AuditRecordItem]:
    """All records of denied attempts, oldest first."""
    # Each day is several requests: none is looked at in which no test was.
    since, until = FrozenClock().now - DAY_MS, tenant.api.clock.now
    span = Span(None, 100, newest_first=False)
    rows = audit_records.between(tenant.organization, span, since=since, until=until)
    return [row for row in rows if row.event == "access.denied"]


def counts(tenant: Tenant) -> list[int]:
    return [row.detail["count"] for row in records(tenant)]


def row_of(tenant: Tenant) -> DenialItem:
    (row,) = [row for row in DenialItem.scan() if row.pk.startswith(tenant.organization)]
    return row


def settled(tenant: Tenant, total: int) -> None:
    """After the sweep has been, every attempt is in some record's count, once."""
    clock = tenant.api.clock
    for _ in range(8):
        clock.advance(seconds=60)
        workers.sweep(None)
    assert sum(counts(tenant)) == total
    minutes = [row.at for row in records(tenant)]
    assert len(minutes) == len(set(minutes))
    row = row_of(tenant)
    assert int(row.pending) == 0
    assert row.due is None
