"""The head of each organization's chain of sealed batches: one row beside its other rows."""

import msgspec
from pynamodb.exceptions import PutError
from pynamodb.expressions.condition import Condition

from chalicelib.store.connection import CONDITION_FAILED, CONFLICT, guarded, response_code
from chalicelib.store.organizations import OrganizationItem

_ITEM = "seal"


class Head(msgspec.Struct, frozen=True):
    """The last sealed batch: its number, its header's digest, and marks of the last records."""

    number: int
    digest: bytes
    recent: bytes


def head(organization: str) -> Head | None:
    """The chain's head as it is now, or None before the first batch.

    Raises:
        Unavailable: the database did not answer.
    """
    row = OrganizationItem.read(organization, _ITEM)
    if row is None or row.sealed is None:
        return None
    return Head(int(row.sealed), row.digest or b"", row.recently_sealed or b"")


def advance(organization: str, before: Head | None, after: Head, now: int) -> bool:
    """Move the head on; False where it is no longer the one before.

    Raises:
        Unavailable: the database did not answer.
    """
    item = OrganizationItem
    unmoved: Condition = (
        item.organization.does_not_exist() if before is None else item.sealed == before.number
    )
    row = item(
        organization,
        _ITEM,
        sealed=after.number,
        digest=after.digest,
        recently_sealed=after.recent,
        created_at=now,
    )
    with guarded():
        try:
            row.save(unmoved)
        except PutError as error:
            if response_code(error) in {CONDITION_FAILED, CONFLICT}:
                return False
            raise
    return True
