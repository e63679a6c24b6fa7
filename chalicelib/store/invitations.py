"""Invitations, among the rows of the people who will be: their keys begin with the tenant."""

import datetime
from collections.abc import Iterator
from typing import Any

from chalicelib.store.connection import guarded
from chalicelib.store.people import ACTIVE, KEPT, REVOKED, PersonItem
from chalicelib.store.table import Key
from chalicelib.store.transaction import Transaction

USED = "used"
PART = "invitation"


def invitation_row(organization: str, invitation: str) -> Key:
    """Where an invitation lives."""
    return PersonItem, organization, f"invitation#{invitation}"


def identifier(row: PersonItem) -> str:
    """The invitation's identifier."""
    return row.item.partition("#")[2]


def find(organization: str, invitation: str) -> PersonItem | None:
    """An invitation, as it is now."""
    return PersonItem.read(organization, f"invitation#{invitation}")


def listed(organization: str, after: str | None) -> Iterator[PersonItem]:
    """An organization's invitations in the order of their identifiers."""
    first = f"invitation#{after}!" if after is not None else "invitation#"
    with guarded():
        yield from PersonItem.query(
            organization, PersonItem.item.between(first, "invitation#~"), consistent_read=True
        )


def put(
    transaction: Transaction,
    organization: str,
    invitation: str,
    *,
    expires_at: int,
    **attributes: Any,  # noqa: ANN401 - pynamodb's
) -> PersonItem:
    """Add a new invitation."""
    end = datetime.datetime.fromtimestamp(expires_at // 1000, tz=datetime.UTC)
    row = PersonItem(
        organization,
        f"invitation#{invitation}",
        organization=organization,
        expires_at=expires_at,
        ttl=end + KEPT,
        **attributes,
    )
    transaction.put(PART, row, PersonItem.pk.does_not_exist())
    return row


def revoke(transaction: Transaction, row: PersonItem) -> None:
    """Take an invitation back that nobody has accepted."""
    transaction.update(PART, row, [PersonItem.status.set(REVOKED)], PersonItem.status == ACTIVE)


def use(transaction: Transaction, row: PersonItem, *, user: str, now: int) -> None:
    """Spend an invitation: it is active, not over, and has the secret that was shown."""
    item = PersonItem
    transaction.update(
        PART,
        row,
        [item.status.set(USED), item.user.set(user), item.last_used_at.set(now)],
        (item.status == ACTIVE) & (item.expires_at > now) & (item.digest == bytes(row.digest)),
    )
