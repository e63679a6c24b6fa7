"""Roles of members in one project."""

import msgspec

from chalicelib.errors import Conflict, NotFound
from chalicelib.evidence.member_events import MemberUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import members
from chalicelib.flows.contention import Patience
from chalicelib.flows.members import Member, MemberPage
from chalicelib.permissions import ProjectRole
from chalicelib.store import audit_records, memberships, organizations
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.transaction import Transaction

MOST_PROJECT_ROLES = 200
_MOST_SEEN = 1_000


class ProjectRoleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's own role in a project; it replaces what the role in the organization gives."""

    role: ProjectRole


def page(organization: str, project: str, *, after: str | None, limit: int) -> MemberPage:
    """The members with a role of their own in a project, in the order of their identifiers."""
    found: list[OrganizationItem] = []
    listing = organizations.listed(organization, "member", after)
    for seen, row in enumerate(listing, start=1):
        if project in (row.projects or {}):
            found.append(row)
        if len(found) > limit:
            return MemberPage(members.with_accounts(found[:limit]), str(found[limit - 1].user))
        if seen == _MOST_SEEN:
            return MemberPage(members.with_accounts(found[:limit]), str(row.user))
    return MemberPage(members.with_accounts(found), None)


def put(
    patience: Patience, origin: Origin, project: str, user: str, request: ProjectRoleRequest
) -> Member:
    """Give a member a role in a project.

    Raises:
        NotFound: the person does not belong to the organization, or the project has gone.
        Conflict: the person has roles in too many projects.
    """
    return _change(patience, origin, project, user, request.role)


def remove(patience: Patience, origin: Origin, project: str, user: str) -> Member:
    """Take a member's own role in a project away: the role in the organization counts again.

    Raises:
        NotFound: the person has no such role.
    """
    if project not in (members.get(origin.organization, user).row.projects or {}):
        raise NotFound("This member has no role in this project.", code="member_not_found")
    return _change(patience, origin, project, user, None)


def _change(
    patience: Patience, origin: Origin, project: str, user: str, role: str | None
) -> Member:
    for _ in patience.rounds():
        member = members.get(origin.organization, user)
        before = dict(member.row.projects or {})
        if before.get(project) == role:
            return member
        after = {name: had for name, had in before.items() if name != project}
        if role is not None:
            after = {**_with_room(origin.organization, after), project: role}
        cancelled = _transaction(origin, member.row, project, before, after).write()
        if cancelled is None:
            return members.get(origin.organization, user)
        if "project" in cancelled.refused:
            raise NotFound("There is no such project.", code="project_not_found")
    raise AssertionError("unreachable: patience raises")


def _with_room(organization: str, roles: dict[str, str]) -> dict[str, str]:
    """The roles, if one more fits; those in projects that are no more do not count."""
    if len(roles) < MOST_PROJECT_ROLES:
        return roles
    active = {
        row.item.partition("#")[2]
        for row in organizations.listed(organization, "project")
        if row.status == organizations.ACTIVE
    }
    kept = {name: role for name, role in roles.items() if name in active}
    if len(kept) >= MOST_PROJECT_ROLES:
        raise Conflict(
            f"A member can have roles in {MOST_PROJECT_ROLES} projects. "
            "A role in the organization holds in all of them.",
            code="too_many_project_roles",
        )
    return kept


def _transaction(
    origin: Origin,
    row: OrganizationItem,
    project: str,
    before: dict[str, str],
    after: dict[str, str],
) -> Transaction:
    transaction = Transaction()
    memberships.change_roles(transaction, row, role=row.role, projects=after)
    if project in after:
        organizations.check_active(
            transaction, "project", organizations.project_row(origin.organization, project)
        )
    audit_records.put(
        transaction,
        success(
            origin,
            MemberUpdated(
                user_id=str(row.user),
                role=after.get(project),
                previous_role=before.get(project),
                project_id=project,
            ),
            resource=("user", str(row.user)),
            project=project,
        ),
    )
    return transaction
