"""Inviting people: whoever shows the secret joins with the roles that were offered."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import msgspec

from chalicelib import ids
from chalicelib.credentials import person
from chalicelib.credentials.opaque import digest
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.member_events import InvitationCreated, InvitationRevoked
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Note, ProjectId
from chalicelib.flows import acting
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.permissions import ProjectRole, Role
from chalicelib.store import audit_records, invitations, organizations, parents
from chalicelib.store.invitations import PART, USED
from chalicelib.store.people import ACTIVE, REVOKED, PersonItem
from chalicelib.store.transaction import Cancelled, Transaction

MOST_PROJECTS = 20
_SHORTEST_TTL, _LONGEST_TTL, _WEEK = 300, 30 * 86_400, 7 * 86_400


class InviteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What whoever accepts will be: in the organization, in some projects, or both."""

    role: Role | None = None
    projects: Annotated[dict[ProjectId, ProjectRole], msgspec.Meta(max_length=MOST_PROJECTS)] = {}
    note: Note | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=_SHORTEST_TTL, le=_LONGEST_TTL)] = _WEEK


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation's row, and the raw secret that is shown this once."""

    row: PersonItem
    secret: str = field(repr=False)


class InvitationPage(msgspec.Struct, frozen=True):
    """Some invitations, and after which the list goes on, if it does."""

    rows: list[PersonItem]
    next: str | None


def status_of(row: PersonItem, now: int) -> str:
    """`pending`, `used`, `revoked` or `expired`: what whoever accepts would be told."""
    if row.status == USED:
        return "used"
    if row.status != ACTIVE:
        return "revoked"
    return "pending" if int(row.expires_at or 0) > now else "expired"


def invite(patience: Patience, origin: Origin, request: InviteRequest) -> Invited:
    """Make an invitation.

    Raises:
        Malformed: it offers no role at all.
        NotFound: one of the projects is not there.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted; or the organization is being deleted.
    """
    if request.role is None and not request.projects:
        raise Malformed("Offer a role, or roles in projects.", code="role_missing")
    invitation = ids.new(ids.INVITATION)
    secret = person.INVITATION.issue(origin.organization, invitation)
    for _ in patience.rounds():
        transaction, row = _transaction(origin, request, invitation, digest(secret))
        cancelled = transaction.write()
        # The SDK repeats a request whose answer was lost: an invitation of this very identifier
        # can only be our own.
        if cancelled is None or PART in cancelled.refused:
            return Invited(row, secret)
        acting.refuse(cancelled, origin)
        _check(cancelled)
    raise AssertionError("unreachable: patience raises")


def _transaction(
    origin: Origin, request: InviteRequest, invitation: str, hashed: bytes
) -> tuple[Transaction, PersonItem]:
    transaction = Transaction()
    expires_at = origin.now + request.ttl_seconds * 1000
    row = invitations.put(
        transaction,
        origin.organization,
        invitation,
        expires_at=expires_at,
        digest=hashed,
        role=request.role,
        projects=dict(request.projects),
        note=request.note,
        invited_by=origin.actor_id,
        created_at=origin.now,
    )
    parents.check_active(transaction, origin.organization)
    acting.check_admin(transaction, origin)
    for project in request.projects:
        organizations.check_active(
            transaction, project, organizations.project_row(origin.organization, project)
        )
    audit_records.put(
        transaction,
        success(
            origin,
            InvitationCreated(
                invitation_id=invitation,
                role=request.role,
                expires_at=rfc3339(expires_at),
                projects=dict(request.projects),
                note=request.note,
            ),
            resource=("invitation", invitation),
        ),
    )
    return transaction, row


def _check(cancelled: Cancelled) -> None:
    if organizations.ORGANIZATION in cancelled.refused:
        raise organization_closed()
    if any(ids.is_a(ids.PROJECT, part) for part in cancelled.refused):
        raise NotFound("There is no such project.", code="project_not_found")


def page(organization: str, *, after: str | None, limit: int) -> InvitationPage:
    """Invitations in the order of their identifiers."""
    found = list(islice(invitations.listed(organization, after), limit + 1))
    rows = found[:limit]
    more = len(found) > limit
    return InvitationPage(rows, invitations.identifier(rows[-1]) if more else None)


def revoke(patience: Patience, origin: Origin, invitation: str) -> PersonItem:
    """Take an invitation back. Doing so twice changes nothing.

    Raises:
        NotFound: there is no such invitation.
        Conflict: somebody has accepted it: what ends that is removing the member.
    """
    for _ in patience.rounds():
        row = _get(origin.organization, invitation)
        if row.status == USED:
            raise Conflict("The invitation was accepted.", code="invitation_used")
        if row.status == REVOKED:
            return row
        transaction = Transaction()
        invitations.revoke(transaction, row)
        audit_records.put(
            transaction,
            success(
                origin,
                InvitationRevoked(invitation_id=invitation),
                resource=("invitation", invitation),
            ),
        )
        if transaction.write() is None:
            return _get(origin.organization, invitation)
    raise AssertionError("unreachable: patience raises")


def _get(organization: str, invitation: str) -> PersonItem:
    known = ids.is_a(ids.INVITATION, invitation)
    row = invitations.find(organization, invitation) if known else None
    if row is None:
        raise unknown()
    return row


def unknown() -> NotFound:
    """The answer to an invitation that nobody made, or whose secret is another."""
    return NotFound("There is no such invitation.", code="invitation_not_found")
