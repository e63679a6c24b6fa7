"""The organizations that a person belongs to, with what they may be there."""

from itertools import islice

import msgspec

from chalicelib.store import organizations, people
from chalicelib.store.organizations import ACTIVE, OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import read_all

_AT_ONCE = 50  # two rows of each; a hundred is the most that one BatchGetItem takes


class Belonging(msgspec.Struct, frozen=True):
    """An organization, and the person's membership in it."""

    organization: OrganizationItem
    member: OrganizationItem


def of_person(user: str, home: str) -> list[Belonging]:
    """Where a person may go: the organizations and the memberships that are active.

    Args:
        user: the person.
        home: is looked at where there is none, so that it takes as many requests.

    Raises:
        Unavailable: the database did not answer.
    """
    names = [_organization(row) for row in people.belongings(user, "organization#")]
    return read(user, names or [home])


def read(user: str, names: list[str]) -> list[Belonging]:
    """Those of some organizations where the person may go, in one request for fifty of them."""
    return [
        one
        for one in _read(user, names)
        if one.organization.status == ACTIVE and one.member.status == ACTIVE
    ]


def page(user: str, after: str | None, limit: int) -> tuple[list[Belonging], str | None]:
    """The organizations that a person belongs to, in order of their identifiers.

    Also those that are being deleted, and for a while those that are no more: their status says so.
    """
    own = (
        row
        for row in people.belongings(user, "organization#")
        if after is None or _organization(row) > after
    )
    found = list(islice(own, limit + 1))
    names = [_organization(row) for row in found[:limit]]
    return _read(user, names), names[-1] if len(found) > limit else None


def _organization(row: PersonItem) -> str:
    return str(row.item.partition("#")[2])


def _read(user: str, names: list[str]) -> list[Belonging]:
    found: list[Belonging] = []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        keys = [organizations.organization_row(name) for name in some]
        rows = read_all([*keys, *(organizations.member_row(name, user) for name in some)])
        # The mirrors at the person decide nothing: the member's own row does.
        found += (
            Belonging(organization, member)
            for organization, member in zip(rows[: len(some)], rows[len(some) :], strict=True)
            if isinstance(organization, OrganizationItem) and isinstance(member, OrganizationItem)
        )
    return found
