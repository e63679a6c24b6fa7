"""Audit records: append-only, spread by day and shard, published from the table's stream."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from pynamodb.attributes import JSONAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib import settings
from chalicelib.evidence.record import Evidence
from chalicelib.store.connection import CONDITION_FAILED, guarded, response_code
from chalicelib.store.paging import HIGHEST, SHARDS, Span, merged, shard_key, shard_of
from chalicelib.store.table import StageTable, Table
from chalicelib.store.transaction import Transaction

DAY_MS = 86_400_000
_MARGIN = datetime.timedelta(days=2)


def kept(retention_days: int) -> datetime.timedelta:
    """How long a record lives where evidence is kept for some days.

    A batch promises its oldest record for as long as its newest, and a stream brings records that
    are a day apart: so each lives longer than the batch that it is in can promise.
    """
    return datetime.timedelta(days=retention_days) + _MARGIN


class RecordsByResource(GlobalSecondaryIndex["AuditRecordItem"]):
    """What happened to one resource, by time."""

    class Meta:
        index_name = "by_resource"
        projection = AllProjection()

    resource_key = UnicodeAttribute(hash_key=True)
    sort = UnicodeAttribute(range_key=True)


class AuditRecordItem(Table):
    """A row of `audit_records`."""

    class Meta:
        table_name = StageTable("audit_records")

    pk = UnicodeAttribute(hash_key=True)
    sort = UnicodeAttribute(range_key=True)
    by_resource = RecordsByResource()
    resource_key = UnicodeAttribute()
    id = UnicodeAttribute()
    at = NumberAttribute()
    organization = UnicodeAttribute()
    project = UnicodeAttribute(null=True)
    environment = UnicodeAttribute(null=True)
    event = UnicodeAttribute()
    outcome = UnicodeAttribute()
    reason = UnicodeAttribute(null=True)
    actor_type = UnicodeAttribute()
    actor_id = UnicodeAttribute()
    actor_credential = UnicodeAttribute(null=True)
    resource_type = UnicodeAttribute()
    resource_id = UnicodeAttribute()
    request_id = UnicodeAttribute()
    source_address = UnicodeAttribute(null=True)
    detail: JSONAttribute = JSONAttribute()
    ttl = TTLAttribute()


def _day(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC).date().isoformat()


def _row(evidence: Evidence) -> AuditRecordItem:
    fields = {
        field: value
        for field, value in msgspec.structs.asdict(evidence).items()
        if field != "detail"
    }
    moment = datetime.datetime.fromtimestamp(evidence.at // 1000, tz=datetime.UTC)
    return AuditRecordItem(
        shard_key(evidence.organization, _day(evidence.at), shard=shard_of(evidence.id)),
        f"{evidence.at:015d}#{evidence.id}",
        resource_key=f"{evidence.organization}#{evidence.resource_type}#{evidence.resource_id}",
        detail=json.loads(msgspec.json.encode(evidence.detail)),
        ttl=moment + kept(settings.load().evidence_retention_days),
        **fields,
    )


def put(transaction: Transaction, evidence: Evidence, part: str = "audit") -> None:
    """Add a record to the transaction of the change that it is about."""
    transaction.put(part, _row(evidence), AuditRecordItem.pk.does_not_exist())


def put_once(evidence: Evidence) -> bool:
    """Write a record of a refusal, which is no change of state; False where it is there already.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        try:
            _row(evidence).save(AuditRecordItem.pk.does_not_exist())
        except PutError as error:
            if response_code(error) == CONDITION_FAILED:
                return False
            raise
    return True


def between(
    organization: str, span: Span, *, since: int, until: int, consistent: bool = False
) -> Iterator[AuditRecordItem]:
    """An organization's records of a time range (milliseconds, both inclusive), day by day."""
    days = list(range(since // DAY_MS, until // DAY_MS + 1))
    for day in reversed(days) if span.newest_first else days:
        date = _day(day * DAY_MS)
        shards = [shard_key(organization, date, shard=shard) for shard in range(SHARDS)]
        bounds = (
            f"{max(since, day * DAY_MS):015d}",
            f"{min(until, (day + 1) * DAY_MS - 1):015d}{HIGHEST}",
        )
        yield from merged(
            AuditRecordItem, shards, AuditRecordItem.sort, span, bounds, consistent=consistent
        )


def of_resource(
    organization: str,
    resource_type: str,
    resource_id: str,
    span: Span,
    *,
    since: int,
    until: int,
) -> Iterator[AuditRecordItem]:
    """What happened to one resource in a time range (milliseconds, both inclusive)."""
    return merged(
        AuditRecordItem.by_resource,
        [f"{organization}#{resource_type}#{resource_id}"],
        AuditRecordItem.sort,
        span,
        (f"{since:015d}", f"{until:015d}{HIGHEST}"),
    )


def from_stream(image: Any) -> AuditRecordItem:  # noqa: ANN401 - it may be anything
    """The record of a stream record's new image.

    Raises:
        ValueError, KeyError, TypeError: the image is not an audit record.
    """
    return AuditRecordItem.from_raw_data(image)
