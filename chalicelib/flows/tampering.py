"""Evidence that evidence was touched: one record for each change, however often it is told."""

import hashlib
from typing import Any

from chalicelib import ids
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.events import AuditTampered
from chalicelib.evidence.record import Evidence
from chalicelib.store import audit_records

_CHANGES = {"MODIFY": "modified", "REMOVE": "removed"}
_HOUR_MS = 3_600_000


def record_row(record: dict[str, Any]) -> bool:
    """Write down that an audit record's row was changed or removed; False where it is already.

    Args:
        record: of the table's stream. Its own time and number make the new record's key, so that
            a stream that repeats itself writes nothing more.

    Raises:
        ValueError, KeyError, TypeError: the row does not name an organization.
        Unavailable: the database did not answer.
    """
    change = record["dynamodb"]
    partition, sort = change["Keys"]["pk"]["S"], change["Keys"]["sort"]["S"]
    organization = partition.split("#", 1)[0]
    if not ids.is_a(ids.ORGANIZATION, organization):
        raise ValueError("the row names no organization")
    found = sort.rpartition("#")[2]
    seed = canonical([str(record["eventID"]), partition, sort])
    return audit_records.put_once(
        _evidence(
            organization,
            seed,
            at=int(float(change["ApproximateCreationDateTime"]) * 1000),
            target="audit_record",
            target_id=found if ids.is_a(ids.AUDIT_RECORD, found) else "unknown",
            change=_CHANGES[record["eventName"]],
            request_id=str(record["eventID"]),
        )
    )


def record_batch(organization: str, number: int, now: int) -> bool:
    """Write down that a batch was forged; False where it was within the hour."""
    hour = now - now % _HOUR_MS
    return audit_records.put_once(
        _evidence(
            organization,
            canonical([organization, number, hour]),
            at=hour,
            target="sealed_batch",
            target_id=str(number),
            change="forged",
            request_id=f"batch-{number}",
        )
    )


def _evidence(
    organization: str,
    seed: bytes,
    *,
    at: int,
    target: str,
    target_id: str,
    change: str,
    request_id: str,
) -> Evidence:
    detail = AuditTampered(target=target, target_id=target_id, change=change)
    return Evidence(
        id=ids.derived(ids.AUDIT_RECORD, hashlib.sha256(b"tampered\n" + seed).digest()),
        at=at,
        organization=organization,
        project=None,
        environment=None,
        event=detail.event(),
        outcome="success",
        reason=None,
        actor_type="system",
        actor_id="seal_evidence",
        actor_credential=None,
        resource_type=target,
        resource_id=target_id,
        request_id=request_id,
        source_address=None,
        detail=detail,
    )
