"""When a credential was last used: written at most once an hour."""

from pynamodb.exceptions import UpdateError

from chalicelib.store.connection import CONDITION_FAILED, CONFLICT, guarded, response_code
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import Key


def note(key: Key, *, now: int, unless_since: int) -> None:
    """Write the time of use to a credential's row, unless a later one than `unless_since` is there.

    A row that has gone meanwhile is not made anew.

    Raises:
        Unavailable: the database did not answer.
    """
    model, hash_key, range_key = key
    row = model(hash_key, range_key)
    assert isinstance(row, OrganizationItem | PersonItem)  # noqa: S101 - for the type checker
    used = type(row).last_used_at
    with guarded():
        try:
            row.update(
                actions=[used.set(now)],
                condition=type(row).created_at.exists()
                & (used.does_not_exist() | (used < unless_since)),
            )
        except UpdateError as error:
            if response_code(error) not in {CONDITION_FAILED, CONFLICT}:
                raise
