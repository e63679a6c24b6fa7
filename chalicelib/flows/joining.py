"""Accepting an invitation: with a new account, or as somebody who has one already.

Everything happens in one transaction, so nothing is spent when anything fails: using the
invitation, the account and its name, the membership, the count of org_admins, the evidence.
"""

from typing import Annotated, NoReturn

import msgspec

from chalicelib import ids
from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.credentials.password import Passwords, check_new
from chalicelib.errors import Conflict, Malformed
from chalicelib.evidence.member_events import InvitationAccepted, MemberAdded
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName, Password, Username
from chalicelib.flows import login_guard, offers
from chalicelib.flows.contention import Patience
from chalicelib.flows.invitations import status_of
from chalicelib.flows.offers import Offer, ended, is_of_a_person, project_gone
from chalicelib.flows.projects import organization_closed
from chalicelib.flows.sessions import Visit
from chalicelib.store import audit_records, invitations, memberships, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Cancelled, Transaction

_INVITER, _USERNAME = "inviter", "username"


class AcceptRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The invitation, and the account to be; somebody who is logged in has one."""

    invitation: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    username: Username | None = None
    password: Password | None = None
    display_name: DisplayName | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"AcceptRequest(username={self.username!r})"

    def makes_an_account(self) -> bool:
        """Whether a new account is asked for.

        Raises:
            Malformed: by half, or with a password that cannot be used.
        """
        given = [self.username is not None, self.password is not None]
        if any(given) != all(given) or (self.display_name is not None and not any(given)):
            raise Malformed(
                "Give a username and a password for a new account, or neither and log in.",
                code="account_incomplete",
            )
        if self.password is not None:
            check_new(self.password, "password")
        return all(given)


class Joined(msgspec.Struct, frozen=True):
    """Who has become a member of what."""

    user: str
    username: str | None
    organization: OrganizationItem
    role: str | None
    projects: dict[str, str]


def join_with_new_account(
    patience: Patience,
    passwords: Passwords,
    visit: Visit,
    claims: OpaqueClaims,
    request: AcceptRequest,
) -> Joined:
    """Make an account, and a member of it.

    Raises:
        NotFound: there is no such invitation.
        InvitationEnded: there was.
        Conflict: the username is somebody else's.
        TooMany: the stage hashes as many passwords as it can.
    """
    username = str(request.username).lower()
    offer = offers.find(claims, visit.now)
    if people.find_username(username) is not None:
        raise _taken()
    # Only the holder of a good invitation has a password hashed, and not faster than logins are.
    login_guard.spend(visit.now)
    hashed = passwords.hash(str(request.password))
    user = ids.new(ids.USER)
    origin = visit.origin(claims.organization, user)
    for _ in patience.rounds():
        transaction = _transaction(origin, offer, user, username, created=True)
        people.put_new(
            transaction,
            "user",
            user,
            people.USER,
            username=username,
            display_name=request.display_name,
            password_hash=hashed,
            home=claims.organization,
            created_at=visit.now,
        )
        people.claim_username(transaction, username, user, visit.now)
        if _has_joined(transaction.write(), user, visit.now):
            return _joined(offer, user, username)
    raise AssertionError("unreachable: patience raises")


def join(patience: Patience, origin: Origin, claims: OpaqueClaims) -> Joined:
    """Make a member of somebody who has an account and is logged in.

    Args:
        patience: how contention is waited out.
        origin: in the person's name, at the organization that invites.
        claims: of the invitation.

    Raises:
        NotFound: there is no such invitation.
        InvitationEnded: there was.
        Conflict: the person is a member already.
    """
    user = origin.actor_id
    offer = offers.find(claims, origin.now)
    if organizations.find(claims.organization, f"member#{user}") is not None:
        raise _already_member()
    account = people.find_user(user)
    username = account.username if account is not None else None
    for _ in patience.rounds():
        transaction = _transaction(origin, offer, user, username, created=False)
        if _has_joined(transaction.write(), user, origin.now):
            return _joined(offer, user, username)
    raise AssertionError("unreachable: patience raises")


def _transaction(
    origin: Origin, offer: Offer, user: str, username: str | None, *, created: bool
) -> Transaction:
    organization, row = offer.organization.organization, offer.row
    invitation = invitations.identifier(row)
    transaction = Transaction()
    invitations.use(transaction, row, user=user, now=origin.now)
    memberships.add(
        transaction,
        organization,
        user,
        username=username,
        role=row.role,
        projects=offer.projects,
        created_at=origin.now,
        created_by=row.invited_by,
    )
    for project in offer.projects:
        organizations.check_active(
            transaction, project, organizations.project_row(organization, project)
        )
    if is_of_a_person(row):
        memberships.check_admin(
            transaction,
            _INVITER,
            organization,
            str(row.invited_by),
            joined_until=int(row.created_at or 0),
        )
    audit_records.put(
        transaction,
        success(
            origin,
            MemberAdded(
                user_id=user, role=row.role, projects=offer.projects, invitation_id=invitation
            ),
            resource=("user", user),
        ),
    )
    audit_records.put(
        transaction,
        success(
            origin,
            InvitationAccepted(invitation_id=invitation, user_id=user, created=created),
            resource=("invitation", invitation),
        ),
        part="invitation_audit",
    )
    return transaction


def _has_joined(cancelled: Cancelled | None, user: str, now: int) -> bool:
    """Whether the person is a member now; False where that was contended."""
    if cancelled is None:
        return True
    if invitations.PART in cancelled.refused:
        row = PersonItem.from_item(cancelled.item(invitations.PART))
        # The SDK repeated a request whose answer was lost: it was used by this very person.
        if row is not None and row.user == user:
            return True
        raise ended(status_of(row, now) if row is not None else "revoked")
    if not cancelled.contended:
        _refuse(cancelled)
    return False


def _refuse(cancelled: Cancelled) -> NoReturn:
    if _INVITER in cancelled.refused:
        raise ended("revoked")
    if memberships.ADMINS in cancelled.refused:
        raise organization_closed()
    if any(ids.is_a(ids.PROJECT, part) for part in cancelled.refused):
        raise project_gone()
    if _USERNAME in cancelled.refused:
        raise _taken()
    raise _already_member()


def _joined(offer: Offer, user: str, username: str | None) -> Joined:
    return Joined(user, username, offer.organization, offer.row.role, offer.projects)


def _taken() -> Conflict:
    return Conflict(
        "This username is taken. If it is yours, log in and send the invitation alone.",
        code="username_taken",
    )


def _already_member() -> Conflict:
    return Conflict("You belong to this organization already.", code="already_member")
