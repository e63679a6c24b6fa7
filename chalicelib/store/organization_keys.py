"""Organization keys, among the rows of their organization."""

import datetime

from pynamodb.expressions.update import Action

from chalicelib.store import organizations
from chalicelib.store.organizations import ACTIVE, REVOKED, OrganizationItem
from chalicelib.store.transaction import Transaction

KEPT = datetime.timedelta(days=30)
PART, TURN = "key", "turn"
_KEYS = "keys"


def identifier(row: OrganizationItem) -> str:
    """The key's identifier."""
    return row.item.partition("#")[2]


def find(organization: str, key: str) -> OrganizationItem | None:
    """A key, as it is now."""
    return organizations.find(organization, f"key#{key}")


def turn(organization: str) -> int:
    """How many keys the organization has ever made; two that are made at once see each other."""
    row = organizations.find(organization, _KEYS)
    return int(row.revision or 0) if row is not None else 0


def add(
    transaction: Transaction,
    organization: str,
    key: str,
    *,
    turn: int,
    name: str,
    scopes: list[str],
    digest: bytes,
    expires_at: int | None,
    created_at: int,
    created_by: str,
) -> OrganizationItem:
    """Add a new key, if none was made since the organization's `turn` was read."""
    item = OrganizationItem
    row = item(
        organization,
        f"key#{key}",
        name=name,
        scopes=scopes,
        digest=digest,
        expires_at=expires_at,
        created_at=created_at,
        created_by=created_by,
        revision=1,
        ttl=_kept_after(expires_at) if expires_at is not None else None,
    )
    transaction.put(PART, row, item.organization.does_not_exist())
    transaction.update(
        TURN,
        item(organization, _KEYS),
        [item.revision.set(turn + 1), item.created_at.set(created_at)],
        item.revision == turn if turn else item.revision.does_not_exist(),
    )
    return row


def forget_turn(transaction: Transaction, organization: str) -> None:
    """Add the end of the row that counts the keys (part `turn`), where there is one."""
    transaction.delete(
        TURN, OrganizationItem(organization, _KEYS), OrganizationItem.organization.exists()
    )


def revoke(transaction: Transaction, row: OrganizationItem, now: int) -> None:
    """End a key with all its secrets, whoever may be rotating it."""
    item = OrganizationItem
    transaction.update(
        PART,
        row,
        [
            item.status.set(REVOKED),
            item.previous_digest.remove(),
            item.previous_until.remove(),
            item.ttl.set(_kept_after(now)),
        ],
        item.status == ACTIVE,
    )


def rotate(
    transaction: Transaction, row: OrganizationItem, *, digest: bytes, overlap_until: int | None
) -> None:
    """Give a key another secret, if it has the one still that was read.

    The former one stays good until `overlap_until`; the one before that ends.
    """
    item = OrganizationItem
    actions: list[Action] = [item.digest.set(digest)]
    if overlap_until is not None:
        actions += [
            item.previous_digest.set(bytes(row.digest)),
            item.previous_until.set(overlap_until),
        ]
    else:
        actions += [item.previous_digest.remove(), item.previous_until.remove()]
    transaction.update(
        PART, row, actions, (item.status == ACTIVE) & (item.digest == bytes(row.digest))
    )


def _kept_after(milliseconds: int) -> datetime.datetime:
    # For some time its holder can be told that it is over, and the list shows what it was.
    return datetime.datetime.fromtimestamp(milliseconds // 1000, tz=datetime.UTC) + KEPT
