"""Who belongs to the organization, and with which role."""

from collections.abc import Iterable
from itertools import islice

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, NotFound
from chalicelib.evidence.member_events import MemberRemoved, MemberUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import acting
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.permissions import Role
from chalicelib.store import audit_records, memberships, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import Key, read_all
from chalicelib.store.transaction import Cancelled, Transaction


class ChangeRoleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's role in the organization; null leaves the roles in projects alone."""

    role: Role | None


class Member(msgspec.Struct, frozen=True):
    """A membership, and the person's account."""

    row: OrganizationItem
    account: PersonItem | None


class MemberPage(msgspec.Struct, frozen=True):
    """Some members, and after whom the list goes on, if it does."""

    rows: list[Member]
    next: str | None


def get(organization: str, user: str) -> Member:
    """One member of the organization, as they are now.

    Raises:
        NotFound: there is none.
    """
    if not ids.is_a(ids.USER, user):
        raise unknown()
    row, account = read_all([organizations.member_row(organization, user), people.user_row(user)])
    if not isinstance(row, OrganizationItem):
        raise unknown()
    return Member(row, account if isinstance(account, PersonItem) else None)


def page(organization: str, *, after: str | None, limit: int) -> MemberPage:
    """Members in the order of their identifiers."""
    found = list(islice(organizations.listed(organization, "member", after), limit + 1))
    rows = found[:limit]
    return MemberPage(with_accounts(rows), str(rows[-1].user) if len(found) > limit else None)


def with_accounts(rows: Iterable[OrganizationItem]) -> list[Member]:
    """Members with their accounts, at most 100: one request."""
    members = list(rows)
    keys: list[Key] = [people.user_row(str(row.user)) for row in members]
    accounts = read_all(keys) if keys else []
    return [
        Member(row, account if isinstance(account, PersonItem) else None)
        for row, account in zip(members, accounts, strict=True)
    ]


def change_role(
    patience: Patience, origin: Origin, user: str, request: ChangeRoleRequest
) -> Member:
    """Give a member another role in the organization.

    Raises:
        NotFound: there is no such member.
        Conflict: the organization would be left without an org_admin.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    for _ in patience.rounds():
        member = get(origin.organization, user)
        row = member.row
        if row.role == request.role:
            return member
        transaction = Transaction()
        memberships.change_roles(
            transaction, row, role=request.role, projects=dict(row.projects or {})
        )
        _count(transaction, row, request.role)
        acting.check_admin(transaction, origin, user, row)
        audit_records.put(
            transaction,
            success(
                origin,
                MemberUpdated(user_id=user, role=request.role, previous_role=row.role),
                resource=("user", user),
            ),
        )
        cancelled = transaction.write()
        if cancelled is None:
            return get(origin.organization, user)
        acting.refuse(cancelled, origin)
        check_admins(cancelled, request.role)
    raise AssertionError("unreachable: patience raises")


def remove(patience: Patience, origin: Origin, user: str) -> Member:
    """End a membership: whatever the person does here next is refused. The account stays.

    Raises:
        NotFound: there is no such member.
        Conflict: the organization would be left without an org_admin.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    member = get(origin.organization, user)
    for attempt in patience.rounds():
        if attempt:
            try:
                member = get(origin.organization, user)
            except NotFound:
                # By a request of ours whose answer was lost, or by somebody else's: it is done.
                return member
        row = member.row
        transaction = Transaction()
        memberships.remove(transaction, row)
        _count(transaction, row, None)
        acting.check_admin(transaction, origin, user, row)
        audit_records.put(
            transaction,
            success(
                origin,
                MemberRemoved(user_id=user, role=row.role, projects=dict(row.projects or {})),
                resource=("user", user),
            ),
        )
        cancelled = transaction.write()
        if cancelled is None:
            return member
        acting.refuse(cancelled, origin)
        check_admins(cancelled, None)
    raise AssertionError("unreachable: patience raises")


def _count(transaction: Transaction, row: OrganizationItem, role: str | None) -> None:
    was = memberships.counts(row)
    will_be = role == Role.ORG_ADMIN and row.status == organizations.ACTIVE
    memberships.count_admins(transaction, row.organization, will_be - was)


def check_admins(cancelled: Cancelled, role: str | None) -> None:
    """Say so where the count of org_admins alone stood in the way.

    Raises:
        Conflict: the last one would go.
        Forbidden: the organization is being deleted, and gets no further one.
    """
    if set(cancelled.refused) != {memberships.ADMINS}:
        return
    if role == Role.ORG_ADMIN:
        raise organization_closed()
    raise Conflict(
        "An organization cannot be without an org_admin. Make somebody else one first.",
        code="last_org_admin",
    )


def unknown() -> NotFound:
    """The answer to an identifier that names no member."""
    return NotFound("There is no such member.", code="member_not_found")
