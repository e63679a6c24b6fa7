"""The events about people of an organization, and about its keys.

The rules are those of `events`: members are append-only, and nothing here has room for a secret.
"""

from chalicelib.evidence.events import Detail


class MemberAdded(Detail, frozen=True, kw_only=True):
    """A person became a member of the organization."""

    NAME = "member.added"
    user_id: str
    role: str | None
    projects: dict[str, str]
    invitation_id: str | None = None


class MemberUpdated(Detail, frozen=True, kw_only=True):
    """A member's role changed, in the organization or in the project that is named."""

    NAME = "member.updated"
    user_id: str
    role: str | None
    previous_role: str | None
    project_id: str | None = None


class MemberRemoved(Detail, frozen=True, kw_only=True):
    """A member left the organization, with the roles that ended by it."""

    NAME = "member.removed"
    user_id: str
    role: str | None
    projects: dict[str, str]


class UserDisabled(Detail, frozen=True, kw_only=True):
    """An account was disabled by the organization that made it."""

    NAME = "user.disabled"
    user_id: str
    note: str | None = None


class UserEnabled(Detail, frozen=True, kw_only=True):
    """An account that was disabled may be used again."""

    NAME = "user.enabled"
    user_id: str
    note: str | None = None


class InvitationCreated(Detail, frozen=True, kw_only=True):
    """Somebody was invited to become a member with these roles."""

    NAME = "invitation.created"
    invitation_id: str
    role: str | None
    expires_at: str
    projects: dict[str, str]
    note: str | None = None


class InvitationRevoked(Detail, frozen=True, kw_only=True):
    """An invitation that nobody had accepted was taken back."""

    NAME = "invitation.revoked"
    invitation_id: str


class InvitationAccepted(Detail, frozen=True, kw_only=True):
    """A person joined by an invitation; `created` says whether the account is new."""

    NAME = "invitation.accepted"
    invitation_id: str
    user_id: str
    created: bool


class OrganizationKeyCreated(Detail, frozen=True, kw_only=True):
    """An organization key was made."""

    NAME = "organization_key.created"
    organization_key_id: str
    name: str
    scopes: list[str]
    expires_at: str | None = None


class OrganizationKeyRevoked(Detail, frozen=True, kw_only=True):
    """An organization key ended."""

    NAME = "organization_key.revoked"
    organization_key_id: str


class OrganizationKeyRotated(Detail, frozen=True, kw_only=True):
    """An organization key has a new secret; the one before is good until `overlap_until`."""

    NAME = "organization_key.rotated"
    organization_key_id: str
    overlap_until: str | None = None
