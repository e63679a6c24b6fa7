"""How members, invitations and organization keys look from outside; without any secret."""

from typing import Any

from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import organization_keys as key_flow
from chalicelib.flows.joining import Joined
from chalicelib.flows.members import Member
from chalicelib.store import invitations, organization_keys
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem


def _time(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else rfc3339(int(milliseconds))


def member(found: Member) -> dict[str, Any]:
    """A member of the organization."""
    row, account = found.row, found.account
    return {
        "user_id": row.user,
        "username": row.username,
        "display_name": account.display_name if account is not None else None,
        "status": account.status if account is not None else row.status,
        "home": account is not None and account.home == row.organization,
        "role": row.role,
        "projects": row.projects or {},
        "joined_at": _time(row.created_at),
    }


def project_member(found: Member, project: str) -> dict[str, Any]:
    """A member with a role of their own in a project; null where that was taken away."""
    shape = member(found)
    return {
        "user_id": shape["user_id"],
        "username": shape["username"],
        "display_name": shape["display_name"],
        "status": shape["status"],
        "role": shape["projects"].get(project),
    }


def account(row: PersonItem) -> dict[str, Any]:
    """An account that this organization made."""
    return {
        "user_id": row.pk,
        "username": row.username,
        "display_name": row.display_name,
        "status": row.status,
    }


def invitation(row: PersonItem, status: str) -> dict[str, Any]:
    """An invitation, with what whoever accepts it would be told."""
    return {
        "invitation_id": invitations.identifier(row),
        "status": status,
        "role": row.role,
        "projects": row.projects or {},
        "note": row.note,
        "invited_by": row.invited_by,
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "user_id": row.user,
        "used_at": _time(row.last_used_at),
    }


def joined(result: Joined) -> dict[str, Any]:
    """What whoever accepted an invitation is now."""
    return {
        "user_id": result.user,
        "username": result.username,
        "organization_id": result.organization.organization,
        "organization_name": result.organization.name,
        "role": result.role,
        "projects": result.projects,
    }


def organization_key(row: OrganizationItem, now: int) -> dict[str, Any]:
    """An organization key."""
    return {
        "organization_key_id": organization_keys.identifier(row),
        "name": row.name,
        "status": key_flow.status_of(row, now),
        "scopes": row.scopes or [],
        "created_at": _time(row.created_at),
        "created_by": row.created_by,
        "expires_at": _time(row.expires_at),
        "last_used_at": _time(row.last_used_at),
        "overlap_until": _time(key_flow.overlap_until(row, now)),
    }
