"""What an operator may do, by what the identification has read: nothing is asked here."""

from typing import TYPE_CHECKING

import msgspec

from chalicelib.errors import Forbidden, NotFound
from chalicelib.flows.targets import Target, project_of, unknown
from chalicelib.permissions import Permission, Role, permitted, view_of
from chalicelib.store import organizations
from chalicelib.store.jobs import JobItem
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.table import Table

if TYPE_CHECKING:
    from chalicelib.flows.identification import Identified


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticated operator may do.

    Args:
        actor_type: `user` or `organization_key`.
        actor_id: the person's or the key's identifier.
        credential: the session or personal token that a person used; None for a key.
        organization: the row of the tenant that the credential is bound to.
        role: the person's role in the organization.
        project_roles: the person's own roles in projects.
        scopes: what a key or personal token was allowed; None where that is everything.
        is_person: a key has scopes in place of roles.
    """

    actor_type: str
    actor_id: str
    credential: str | None
    organization: OrganizationItem
    role: Role | None
    project_roles: dict[str, Role | None]
    scopes: frozenset[str] | None
    is_person: bool

    def holds(self, permission: Permission, project: str | None = None) -> bool:
        """Whether a permission is held, on a project or on the organization itself."""
        if not self.is_person:
            return True
        if project not in self.project_roles:
            return permitted(permission, self.role, None)
        own = self.project_roles[project]
        # A role that nobody knows is no role; it must not fall back to a greater one (law 7).
        return own is not None and permitted(permission, self.role, own)

    def holds_anywhere(self, permission: Permission) -> bool:
        """Whether a permission is held on the organization, or on some project of it."""
        return self.holds(permission) or any(
            self.holds(permission, project) for project in self.project_roles
        )

    def require_scope(self, scope: str) -> None:
        """Refuse a credential that was not allowed a scope; a session is allowed all.

        Raises:
            Forbidden: it lacks the scope.
        """
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden(f"The credential lacks the scope {scope}.", code="scope_missing")

    def sees(self, project: str | None, environment: str | None) -> bool:
        """Whether an environment's things may be shown: it is not being deleted, and in view."""
        closed = self.organization.closed or set()
        if project in closed or environment in closed:
            return False
        return self.holds(Permission.VIEW_ENVIRONMENT, project)


class Wanted(msgspec.Struct, frozen=True):
    """What a route asks for.

    Args:
        permission: of a person, on the target; None where being that person is enough.
        scope: of a key or personal token; None where none is needed.
        target: what the request is about; None for the organization itself.
        anywhere: a list, which shows what the caller may see: holding the permission on some
            project is enough, and an unknown target is an empty list.
        while_deleting: also where the organization, or the target, is being deleted.
        ended: also where the target has left the lists.
    """

    permission: Permission | None
    scope: str | None
    target: Target | None = None
    anywhere: bool = False
    while_deleting: bool = False
    ended: bool = False


class Hidden(NotFound):
    """It exists, and the caller may not even know that: answered like what does not exist."""


def check(identified: "Identified", wanted: Wanted) -> None:
    """Refuse what the caller may not do.

    Raises:
        Forbidden: a scope or a permission is missing, or the organization is being deleted.
        NotFound: the target does not exist, or the caller may not even see it.
    """
    authority = identified.authority
    if wanted.scope is not None:
        authority.require_scope(wanted.scope)
    if not wanted.while_deleting and authority.organization.status != organizations.ACTIVE:
        raise Forbidden("The organization is being deleted.", code="organization_closed")
    if wanted.permission is None:
        return
    if wanted.anywhere:
        if not authority.holds_anywhere(wanted.permission):
            raise missing(wanted.permission)
    elif wanted.target is None:
        if not authority.holds(wanted.permission):
            raise missing(wanted.permission)
    else:
        _check_target(authority, wanted.permission, wanted.target, identified.row, wanted)


def _check_target(
    authority: Authority,
    permission: Permission,
    target: Target,
    row: Table | None,
    wanted: Wanted,
) -> None:
    if row is None:
        raise unknown(target)
    if isinstance(row, JobItem) and row.actor_id == authority.actor_id:
        # Also where it took the role away by which it was started.
        return
    project, environment, has_ended = project_of(target, row)
    closing = {project, environment} & (authority.organization.closed or set())
    if (has_ended and not wanted.ended) or (closing and not wanted.while_deleting):
        raise unknown(target)
    if project is None:
        # A thing of the organization itself, such as a job that is about no one project.
        permission = Permission.VIEW_ORG
    if not authority.holds(view_of(permission), project):
        # Whoever may not see it is not told that it exists.
        raise unknown(target, Hidden)
    if not authority.holds(permission, project):
        raise missing(permission)


def missing(permission: Permission) -> Forbidden:
    """The answer to whoever lacks a permission, and may know of what it is about."""
    return Forbidden(
        f"This needs the permission {permission}.",
        code="permission_missing",
        extra={"permission": str(permission)},
    )
