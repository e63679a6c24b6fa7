"""Organizations, projects and environments as parents: their names, their changes, their end.

All rows are of the `organizations` table. While a project or environment is being deleted its
identifier stands in `closed` of the organization's row, which every operator's request reads.
"""

import datetime
from collections.abc import Iterator
from typing import Any

from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.update import Action

from chalicelib import names
from chalicelib.store.connection import guarded
from chalicelib.store.memberships import own_mirror
from chalicelib.store.organizations import (
    ACTIVE,
    DELETED,
    DELETING,
    ORGANIZATION,
    OrganizationItem,
    find,
    listed,
)
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Transaction

MOST_CLOSED = 100
"""The row of the organization is read with every request: it must not grow without a bound."""
KEPT_AFTER_DELETION = datetime.timedelta(days=30)

_Item = OrganizationItem


def identifier(row: OrganizationItem) -> str:
    """What stands behind the `#` of a row's `item`."""
    return str(row.item.partition("#")[2])


def put_new(transaction: Transaction, row: OrganizationItem) -> None:
    """Add the creation of a row (part: its `item`) that must not exist yet."""
    transaction.put(row.item, row, _Item.organization.does_not_exist())


def _siblings(row: OrganizationItem) -> str:
    kind = row.item.partition("#")[0]
    return "#".join(("name", kind, row.project or "", ""))


def _name_item(row: OrganizationItem, name: str) -> str:
    return _siblings(row) + names.folded(name)


def _name_items(row: OrganizationItem) -> set[str]:
    # Before names had a normal form, one was reserved in lower case as it was spelled.
    return {_name_item(row, str(row.name)), _siblings(row) + str(row.name).lower()}


def keeps_reservation(row: OrganizationItem, name: str) -> bool:
    """Whether a row's new name is reserved for it by what reserves the one that it has."""
    return _name_items(row) == {_name_item(row, name)}


def has_older_namesake(row: OrganizationItem, name: str) -> bool:
    """Whether another one's reservation, spelled as before the normal form, is of this name."""
    first, wanted = _siblings(row), names.folded(name)
    with guarded():
        reserved = _Item.query(row.organization, _Item.item.startswith(first), consistent_read=True)
        return any(
            names.folded(one.item.removeprefix(first)) == wanted and one.holder != identifier(row)
            for one in reserved
        )


def reserve_name(
    transaction: Transaction, row: OrganizationItem, name: str, *, created_at: int
) -> None:
    """Add the reservation of a name (part `name`); refused where another one has it."""
    holder = identifier(row)
    transaction.put(
        "name",
        _Item(row.organization, _name_item(row, name), holder=holder, created_at=created_at),
        _Item.organization.does_not_exist() | (_Item.holder == holder),
    )


def release_name(
    transaction: Transaction, row: OrganizationItem, *, but: str | None = None
) -> None:
    """Add the release of a row's name (parts `released…`), as far as that row holds it.

    `but` is the name that it takes instead, whose reservation stays.
    """
    items = _name_items(row)
    if len(items) > 1:
        # Of two keys, one may be another row's, of before the normal form: it must not stand in
        # the way of this row's end.
        holders = {item: find(row.organization, item) for item in items}
        items = {item for item, one in holders.items() if one and one.holder == identifier(row)}
    kept = {_name_item(row, but)} if but is not None else set()
    for number, item in enumerate(sorted(items - kept)):
        transaction.delete(
            f"released{number or ''}",
            _Item(row.organization, item),
            _Item.organization.does_not_exist() | (_Item.holder == identifier(row)),
        )


def change(transaction: Transaction, row: OrganizationItem, **values: Any) -> None:  # noqa: ANN401
    """Add a change of an active row (part `changed`), if nobody changed it since it was read.

    A value that is None is removed.
    """
    revision = int(row.revision or 0)
    unmoved = _Item.revision == revision if row.revision else _Item.revision.does_not_exist()
    actions: list[Action] = [
        getattr(_Item, name).remove() if value is None else getattr(_Item, name).set(value)
        for name, value in values.items()
    ]
    transaction.update(
        "changed",
        _Item(row.organization, row.item),
        [*actions, _Item.revision.set(revision + 1)],
        (_Item.status == ACTIVE) & unmoved,
    )


def check_active(transaction: Transaction, organization: str) -> None:
    """Add the condition that the organization is not being deleted (part `organization`)."""
    transaction.check(ORGANIZATION, _Item(organization, ORGANIZATION), _Item.status == ACTIVE)


# -------------------------------------------------------------------------------- deletion


def close(transaction: Transaction, row: OrganizationItem, job: str) -> None:
    """Add that a parent is being deleted (parts `closed` and `organization`).

    `closed` is refused where it is gone; `organization` where that is being deleted itself, or
    where it has `MOST_CLOSED` deletions under way already. Closing twice changes nothing.
    """
    unfinished = _Item.status.is_in(ACTIVE, DELETING)
    transaction.update(
        "closed",
        _Item(row.organization, row.item),
        [_Item.status.set(DELETING), _Item.job.set(job)],
        unfinished,
    )
    if row.item == ORGANIZATION:
        return
    known: Condition = _Item.closed.does_not_exist() | _Item.closed.contains(identifier(row))
    transaction.update(
        ORGANIZATION,
        _Item(row.organization, ORGANIZATION),
        [_Item.closed.add({identifier(row)})],
        (_Item.status == ACTIVE) & (known | (size("closed") < MOST_CLOSED)),
    )


def close_environment(transaction: Transaction, row: OrganizationItem) -> None:
    """Add that an environment ends with its parent (part: its `item`): nobody enrolls there."""
    transaction.update(
        row.item,
        _Item(row.organization, row.item),
        [_Item.status.set(DELETING)],
        _Item.status.is_in(ACTIVE, DELETING),
    )


def remove(transaction: Transaction, row: OrganizationItem) -> None:
    """Add the end of a project or environment (part `removed`), and the release of its name."""
    gone = _Item(row.organization, row.item)
    transaction.delete("removed", gone, _Item.organization.exists())
    release_name(transaction, row)


def reopen(transaction: Transaction, organization: str, closed: str) -> None:
    """Add that a deletion is over (part `organization`): nothing is left that were closed."""
    transaction.update(
        ORGANIZATION,
        _Item(organization, ORGANIZATION),
        [_Item.closed.delete({closed})],
        _Item.organization.exists(),
    )


def entomb(transaction: Transaction, organization: str, now: int) -> None:
    """Add the end of the organization (part `organization`): its row tells so for a while."""
    transaction.update(
        ORGANIZATION,
        _Item(organization, ORGANIZATION),
        [
            _Item.status.set(DELETED),
            _Item.closed.remove(),
            _Item.admins.remove(),
            _Item.ttl.set(forgotten_at(now)),
        ],
        _Item.status == DELETING,
    )


def expire_membership(transaction: Transaction, row: OrganizationItem, now: int) -> None:
    """Add that a membership ends with the tombstone of its organization (part `member`)."""
    end, organization = forgotten_at(now), row.organization
    exists = _Item.organization.exists()
    transaction.update("member", _Item(organization, row.item), [_Item.ttl.set(end)], exists)
    transaction.update(
        "mirror",
        PersonItem(str(row.user), f"organization#{organization}"),
        [
            PersonItem.ttl.set(end),
            PersonItem.organization.set(organization),
            PersonItem.created_at.set(int(row.created_at)),
        ],
        own_mirror(organization),
    )


def forgotten_at(now: int) -> datetime.datetime:
    """When DynamoDB may remove what is left of an organization that ended at a time."""
    return datetime.datetime.fromtimestamp(now // 1000, tz=datetime.UTC) + KEPT_AFTER_DELETION


def environments_of(organization: str, project: str | None = None) -> Iterator[OrganizationItem]:
    """The environments of a project, or of the whole organization, strongly read, in order."""
    for row in listed(organization, "environment"):
        if project is None or row.project == project:
            yield row
