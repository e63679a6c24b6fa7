"""The organizations that a person belongs to, with what they may be there."""

import msgspec

from chalicelib.store import organizations, people
from chalicelib.store.organizations import ACTIVE, OrganizationItem
from chalicelib.store.table import read_all

_AT_ONCE = 50


class Belonging(msgspec.Struct, frozen=True):
    """An organization, and the person's membership in it; both active."""

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
    mirrors = people.belongings(user, "organization#")
    names = [row.item.partition("#")[2] for row in mirrors] or [home]
    found: list[Belonging] = []
    for start in range(0, len(names), _AT_ONCE):
        found += read(user, names[start : start + _AT_ONCE])
    return found


def read(user: str, names: list[str]) -> list[Belonging]:
    """Those of some organizations that the person belongs to, in one request."""
    keys = [organizations.organization_row(name) for name in names]
    rows = read_all([*keys, *(organizations.member_row(name, user) for name in names)])
    return [
        Belonging(organization, member)
        for organization, member in zip(rows[: len(names)], rows[len(names) :], strict=True)
        if isinstance(organization, OrganizationItem) and isinstance(member, OrganizationItem)
        # The mirrors at the person decide nothing: the member's own row does.
        if organization.status == ACTIVE and member.status == ACTIVE
    ]
