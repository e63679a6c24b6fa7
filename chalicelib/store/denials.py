"""Denied attempts that no audit record counts yet, and the index of those that wait for one.

A row stands for one actor, one route and one reason. It is in the index while attempts are
pending: sparse, as the index of overdue agents is (docs/decisions/0015).
"""

import datetime
import hashlib
from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.evidence.record import Origin
from chalicelib.store.connection import CONDITION_FAILED, CONFLICT, guarded, response_code
from chalicelib.store.paging import shard_of
from chalicelib.store.table import StageTable, Table
from chalicelib.store.transaction import Transaction

DUE_SHARDS = 4
"""A row moves in the index at most twice a minute, however many attempts are denied."""
KEPT = datetime.timedelta(days=30)
MINUTE_MS = 60_000


class PendingDenials(GlobalSecondaryIndex["DenialItem"]):
    """What is to be recorded after which bucket. Sparse: only rows with pending attempts."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due = UnicodeAttribute(hash_key=True)
    pk = UnicodeAttribute(range_key=True)


class DenialItem(Table):
    """A row of `denials`.

    `pending` counts the attempts since the last record, `recorded` is the minute (milliseconds)
    of that record. What else it holds is the last attempt's, for the record that is to come.
    """

    class Meta:
        table_name = StageTable("denials")

    pk = UnicodeAttribute(hash_key=True)
    by_due = PendingDenials()
    due = UnicodeAttribute(null=True)
    route = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    actor_type = UnicodeAttribute(null=True)
    actor_id = UnicodeAttribute(null=True)
    credential = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute(null=True)
    source_address = UnicodeAttribute(null=True)
    pending = NumberAttribute(null=True)
    recorded = NumberAttribute(null=True)
    swept_through = NumberAttribute(null=True)
    ttl = TTLAttribute(null=True)

    @property
    def due_bucket(self) -> int | None:
        """The start of the bucket after which the pending attempts are to be recorded."""
        return int(self.due.split("#", 1)[0]) if self.due is not None else None

    def recorded_in(self, minute: int) -> bool:
        """Whether this minute, or a later one by another clock, has its record."""
        return self.recorded is not None and int(self.recorded) >= minute

    def origin(self, now: int) -> Origin:
        """Who was denied, as a request of his at a time."""
        return Origin(
            organization=self.pk.split("#", 1)[0],
            actor_type=str(self.actor_type),
            actor_id=str(self.actor_id),
            request_id=str(self.request_id),
            source_address=self.source_address,
            now=now,
            credential=self.credential,
        )


def add(origin: Origin, route: str, reason: str, *, bucket: int) -> DenialItem | None:
    """Count one attempt in ONE request; the row says whether this minute has its record.

    None where a transaction held the row at that instant: worth another attempt.

    Args:
        origin: who was denied.
        route: method and path, as the table of routes has it.
        reason: the error's code.
        bucket: after which the sweep records the attempt, if nothing does before.

    Raises:
        Unavailable: the database did not answer.
    """
    item = DenialItem
    row = item(_pk(origin, route, reason))
    moment = datetime.datetime.fromtimestamp(origin.now // 1000, tz=datetime.UTC)
    actions: list[Action] = [
        item.pending.add(1),
        item.due.set(item.due | _due_key(row.pk, bucket)),
        item.route.set(route),
        item.reason.set(reason),
        item.actor_type.set(origin.actor_type),
        item.actor_id.set(origin.actor_id),
        item.request_id.set(origin.request_id),
        item.ttl.set(moment + KEPT),
        _or_remove(item.source_address, origin.source_address),
        _or_remove(item.credential, origin.credential),
    ]
    with guarded():
        try:
            row.update(actions)
        except UpdateError as error:
            if response_code(error) == CONFLICT:
                return None
            raise
    return row


def _or_remove(attribute: UnicodeAttribute, value: str | None) -> Action:
    return attribute.set(value) if value is not None else attribute.remove()


def settle(
    transaction: Transaction, seen: DenialItem, *, minute: int, more_wait_in: int | None
) -> None:
    """Subtract what a record counts (part `denial`), unless this minute has a record already.

    Args:
        transaction: the record's.
        seen: the row with the pending attempts that the record counts.
        minute: the record's, in milliseconds.
        more_wait_in: None: refuse where more came meanwhile, and take the row out of the index.
            Else they stay pending, in this bucket.
    """
    item = DenialItem
    count = int(seen.pending)
    free = item.recorded.does_not_exist() | (item.recorded < minute)
    actions: list[Action] = [item.pending.add(-count), item.recorded.set(minute)]
    if more_wait_in is None:
        actions.append(item.due.remove())
        enough = item.pending == count
    else:
        actions.append(item.due.set(_due_key(seen.pk, more_wait_in)))
        enough = item.pending >= count
    transaction.update("denial", item(seen.pk), actions, free & enough)


def find(pk: str) -> DenialItem | None:
    """A row that the index named, as it is now."""
    return DenialItem.read(pk)


def forget_due(seen: DenialItem) -> bool:
    """Take a row without pending attempts out of the index; False where some came meanwhile.

    Raises:
        Unavailable: the database did not answer.
    """
    item = DenialItem
    with guarded():
        try:
            item(seen.pk).update([item.due.remove()], item.pending == 0)
        except UpdateError as error:
            if response_code(error) in {CONDITION_FAILED, CONFLICT}:
                return False
            raise
    return True


def due_in(bucket: int) -> Iterator[str]:
    """The keys of all rows that wait in a bucket: a read across tenants."""
    for shard in range(DUE_SHARDS):
        with guarded():
            for row in DenialItem.by_due.query(f"{bucket}#{shard}"):
                yield row.pk


def _due_key(pk: str, bucket: int) -> str:
    return f"{bucket}#{shard_of(pk, DUE_SHARDS)}"


def _pk(origin: Origin, route: str, reason: str) -> str:
    what = hashlib.sha256(f"{route}\n{reason}".encode()).hexdigest()
    return f"{origin.organization}#{origin.actor_type}:{origin.actor_id}#{what}"
