"""What an invitation is worth at this moment.

It is worth what its maker may do: it ends with the maker's own power to invite.
"""

import hmac

import msgspec

from chalicelib import ids
from chalicelib.credentials import person
from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.credentials.outcome import Rejected
from chalicelib.errors import Gone
from chalicelib.flows.invitations import status_of, unknown
from chalicelib.flows.projects import organization_closed
from chalicelib.store import invitations, memberships, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import Table, read_all
from chalicelib.telemetry import count


class InvitationEnded(Gone):
    """The invitation was real and its time is over. Only its holder learns this."""

    code = "invitation_used"
    title = "The invitation is no longer valid"


class Offer(msgspec.Struct, frozen=True):
    """An invitation that may be accepted."""

    row: PersonItem
    organization: OrganizationItem

    @property
    def projects(self) -> dict[str, str]:
        """The roles in projects that it offers."""
        return dict(self.row.projects or {})


def read(raw: str) -> OpaqueClaims:
    """Take an invitation apart, without a request and without believing it.

    Raises:
        NotFound: it is junk; that costs a metric.
    """
    outcome = person.INVITATION.read(raw)
    if isinstance(outcome, Rejected):
        count("CredentialRejected", reason="invitation_invalid")
        raise unknown()
    return outcome.claims


def find(claims: OpaqueClaims, now: int) -> Offer:
    """What an invitation offers at this moment.

    Raises:
        NotFound: there is no such invitation, or its secret is another.
        InvitationEnded: there was, or a project that it offers a role in is gone.
        Forbidden: the organization is being deleted.
    """
    row = invitations.find(claims.organization, claims.id)
    if row is None or not hmac.compare_digest(bytes(row.digest or b""), claims.digest):
        raise unknown()
    status = status_of(row, now)
    if status != "pending":
        raise ended(status)
    inviter = str(row.invited_by)
    organization, member, account, *found = read_all(
        [
            organizations.organization_row(claims.organization),
            organizations.member_row(claims.organization, inviter),
            people.user_row(inviter),
            *(organizations.project_row(claims.organization, name) for name in row.projects or {}),
        ]
    )
    if not isinstance(organization, OrganizationItem) or not _is_active(organization):
        raise organization_closed()
    if is_of_a_person(row) and not (_invites(member, row) and _is_active(account)):
        raise ended("revoked")
    # To let somebody in with less than was offered would be a decision that nobody has made.
    if not all(_is_active(project) for project in found):
        raise project_gone()
    return Offer(row, organization)


def statuses(organization: str, rows: list[PersonItem], now: int) -> list[str]:
    """What the holder of each invitation would be told now; a hundred of them at most."""
    said = [status_of(row, now) for row in rows]
    asked = sorted(
        {
            str(row.invited_by)
            for row, status in zip(rows, said, strict=True)
            if status == "pending" and is_of_a_person(row)
        }
    )
    if not asked:
        return said
    members = read_all([organizations.member_row(organization, user) for user in asked])
    accounts = read_all([people.user_row(user) for user in asked])
    inviters = {
        user: member if _is_active(account) else None
        for user, member, account in zip(asked, members, accounts, strict=True)
    }
    return [
        "revoked"
        if status == "pending"
        and is_of_a_person(row)
        and not _invites(inviters[str(row.invited_by)], row)
        else status
        for row, status in zip(rows, said, strict=True)
    ]


def is_of_a_person(row: PersonItem) -> bool:
    """Whether a member made the invitation, and not the deployer, who is nobody's member."""
    return ids.is_a(ids.USER, str(row.invited_by))


def ended(status: str) -> InvitationEnded:
    """The answer to the holder of an invitation that is over."""
    return InvitationEnded(f"The invitation is {status}.", code=f"invitation_{status}")


def project_gone() -> InvitationEnded:
    """The answer to the holder of an invitation to a project that is being deleted, or is gone."""
    return InvitationEnded(
        "The invitation offers a role in a project that is no more. Ask for another invitation.",
        code="invitation_project_gone",
    )


def _invites(member: Table | None, invitation: PersonItem) -> bool:
    """Whether the membership that made the invitation is there still, and may invite.

    An inviter who was removed and has joined again made it under another membership.
    """
    return (
        isinstance(member, OrganizationItem)
        and memberships.counts(member)
        and int(member.created_at) <= int(invitation.created_at or 0)
    )


def _is_active(row: Table | None) -> bool:
    return isinstance(row, OrganizationItem | PersonItem) and row.status == organizations.ACTIVE
