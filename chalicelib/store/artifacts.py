"""Artifacts of agents, and how many an agent announced in an hour."""

import datetime
from collections.abc import Iterator

from pynamodb.attributes import JSONAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from chalicelib.store.connection import guarded
from chalicelib.store.table import StageTable, Table
from chalicelib.store.transaction import Transaction

PENDING = "pending"
STORED = "stored"
REJECTED = "rejected"


class ArtifactItem(Table):
    """A row of `artifacts`: an artifact, or the count of one hour (`hour#…`)."""

    class Meta:
        table_name = StageTable("artifacts")

    pk = UnicodeAttribute(hash_key=True)
    item = UnicodeAttribute(range_key=True)
    status = UnicodeAttribute(null=True)
    kind = UnicodeAttribute(null=True)
    filename = UnicodeAttribute(null=True)
    size = NumberAttribute(null=True)
    sha256 = UnicodeAttribute(null=True)
    content_type = UnicodeAttribute(null=True)
    metadata: JSONAttribute = JSONAttribute(null=True)
    project = UnicodeAttribute(null=True)
    environment = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    created_at = NumberAttribute(null=True)
    deadline = NumberAttribute(null=True)
    settled_at = NumberAttribute(null=True)
    announced = NumberAttribute(null=True)
    ttl = TTLAttribute()


def _at(milliseconds: int, *, after: datetime.timedelta) -> datetime.datetime:
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000, tz=datetime.UTC)
    return moment + after


def find(organization: str, agent: str, artifact: str) -> ArtifactItem | None:
    """An artifact, as it is now."""
    return ArtifactItem.read(f"{organization}#{agent}", artifact)


def announce(transaction: Transaction, row: ArtifactItem, seen: ArtifactItem | None) -> None:
    """Add a pending artifact (part `artifact`): a new row, or in place of the one that was seen.

    What is stored is never replaced; what was rejected or never came may be tried again.
    """
    unchanged = ArtifactItem.pk.does_not_exist()
    if seen is not None:
        unchanged |= (ArtifactItem.status == seen.status) & (
            ArtifactItem.created_at == seen.created_at
        )
    transaction.put("artifact", row, unchanged)


def pending(
    organization: str, agent: str, artifact: str, *, created_at: int, deadline: int
) -> ArtifactItem:
    """A pending row; DynamoDB removes it a day after a deadline that nobody met."""
    return ArtifactItem(
        f"{organization}#{agent}",
        artifact,
        status=PENDING,
        created_at=created_at,
        deadline=deadline,
        ttl=_at(deadline, after=datetime.timedelta(days=1)),
    )


def count(transaction: Transaction, organization: str, agent: str, *, now: int, most: int) -> None:
    """Add one to this hour's count of the agent (part `count`); refused at the limit."""
    hour = now // 3_600_000
    item = ArtifactItem
    transaction.update(
        "count",
        item(f"{organization}#{agent}", f"hour#{hour}"),
        [
            item.announced.add(1),
            item.ttl.set(_at(now, after=datetime.timedelta(hours=2))),
        ],
        item.announced.does_not_exist() | (item.announced < most),
    )


def describe(
    transaction: Transaction,
    row: ArtifactItem,
    *,
    filename: str,
    content_type: str,
    metadata: dict[str, str],
) -> None:
    """Add another description of stored content (part `artifact`), if it is as it was seen.

    Unlike the content it may change: it is what the agent said last.
    """
    item = ArtifactItem
    transaction.update(
        "artifact",
        item(row.pk, row.item),
        [
            item.filename.set(filename),
            item.content_type.set(content_type),
            item.metadata.set(metadata),
        ],
        (item.status == STORED)
        & (item.created_at == row.created_at)
        & (item.filename == row.filename)
        & (item.content_type == row.content_type)
        & (item.metadata == row.metadata),
    )


def settle(
    transaction: Transaction,
    row: ArtifactItem,
    *,
    status: str,
    reason: str | None,
    now: int,
    kept: datetime.timedelta,
) -> None:
    """Add the verdict on an upload (part `artifact`), once: only a pending artifact has one."""
    item = ArtifactItem
    actions: list[Action] = [
        item.status.set(status),
        item.settled_at.set(now),
        item.ttl.set(_at(now, after=kept)),
    ]
    if reason is not None:
        actions.append(item.reason.set(reason))
    transaction.update(
        "artifact",
        item(row.pk, row.item),
        actions,
        (item.status == PENDING) & (item.created_at == row.created_at),
    )


def listed(
    organization: str, agent: str, *, after: str | None, limit: int
) -> Iterator[ArtifactItem]:
    """An agent's artifacts, in order of their identifiers."""
    condition = (
        ArtifactItem.item > after if after is not None else ArtifactItem.item.startswith("art_")
    )
    with guarded():
        for row in ArtifactItem.query(
            f"{organization}#{agent}", condition, consistent_read=True, page_size=limit + 1
        ):
            if not row.item.startswith("art_"):
                return
            yield row
