"""Disabling accounts, and enabling them again: a matter of the organization that made them."""

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict
from chalicelib.evidence.member_events import UserDisabled, UserEnabled
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import Note
from chalicelib.flows import acting
from chalicelib.flows.contention import Patience
from chalicelib.flows.members import check_admins, unknown
from chalicelib.permissions import Role
from chalicelib.store import audit_records, memberships, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import ACTIVE, DISABLED, PersonItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an account is disabled or enabled."""

    note: Note | None = None


def disable(patience: Patience, origin: Origin, user: str, note: str | None) -> PersonItem:
    """Refuse whatever the person does from now on, in every organization.

    Raises:
        NotFound: the account is not of this organization, and no member of it.
        Conflict: another organization made the account; or the last org_admin would go.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    return _become(patience, origin, user, DISABLED, note)


def enable(patience: Patience, origin: Origin, user: str, note: str | None) -> PersonItem:
    """Let a disabled account be used again: personal API tokens work, sessions begin anew.

    Raises:
        NotFound: the account is not of this organization, and no member of it.
        Conflict: another organization made the account.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    return _become(patience, origin, user, ACTIVE, note)


def _become(
    patience: Patience, origin: Origin, user: str, status: str, note: str | None
) -> PersonItem:
    for _ in patience.rounds():
        account, member = _find(origin.organization, user)
        if account.status == status:
            return account
        transaction = Transaction()
        memberships.set_account_status(
            transaction,
            origin.organization,
            user,
            member,
            status=status,
            valid_from=people.next_valid_from(account, origin.now) if status == DISABLED else None,
        )
        if member is not None and member.role == Role.ORG_ADMIN:
            memberships.count_admins(
                transaction, origin.organization, (status == ACTIVE) - memberships.counts(member)
            )
        acting.check_admin(transaction, origin, user, member)
        audit_records.put(transaction, _evidence(origin, user, status, note))
        cancelled = transaction.write()
        if cancelled is None:
            return _find(origin.organization, user)[0]
        acting.refuse(cancelled, origin)
        check_admins(cancelled, member.role if member and status == ACTIVE else None)
    raise AssertionError("unreachable: patience raises")


def _find(organization: str, user: str) -> tuple[PersonItem, OrganizationItem | None]:
    """An account that the organization may disable, and its membership at home, if it has one."""
    if not ids.is_a(ids.USER, user):
        raise unknown()
    account, member = read_all(
        [people.user_row(user), organizations.member_row(organization, user)]
    )
    belongs = isinstance(member, OrganizationItem)
    if isinstance(account, PersonItem) and account.home == organization:
        return account, member if isinstance(member, OrganizationItem) else None
    if not belongs:
        # Whether there is such an account elsewhere is nobody's business here.
        raise unknown()
    raise Conflict(
        "Another organization made this account; only that one can disable it. "
        "Remove the member to end what they may do here.",
        code="not_home",
    )


def _evidence(origin: Origin, user: str, status: str, note: str | None) -> Evidence:
    detail = UserDisabled if status == DISABLED else UserEnabled
    return success(origin, detail(user_id=user, note=note), resource=("user", user))
