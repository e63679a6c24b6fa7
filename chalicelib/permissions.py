"""Who may do what: roles, permissions, and the rules by which a role is found.

This is the one table; the routes name a permission of it, and documents and tests are made from it.
"""

import enum
from typing import Literal, get_args

Kind = Literal["project", "environment", "agent", "enrollment_token", "job"]
"""What a request can name, of which the project decides the role that counts."""


class Role(enum.StrEnum):
    """What a membership makes of a person, in an organization or in one of its projects."""

    ORG_ADMIN = "org_admin"
    PROJECT_ADMIN = "project_admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Permission(enum.StrEnum):
    """What a route may ask for."""

    VIEW_ORG = "ViewOrg"
    MANAGE_ORG_MEMBERSHIPS = "ManageOrgMemberships"
    VIEW_PROJECT = "ViewProject"
    MANAGE_PROJECT = "ManageProject"
    OPERATE_PROJECT = "OperateProject"
    VIEW_ENVIRONMENT = "ViewEnvironment"
    MANAGE_ENVIRONMENT = "ManageEnvironment"
    OPERATE_ENVIRONMENT = "OperateEnvironment"


ProjectRole = Literal["project_admin", "operator", "viewer"]
"""The roles that a membership in a project can have; `org_admin` is the organization's alone."""
PROJECT_ROLES = tuple(Role(name) for name in get_args(ProjectRole))

_VIEW = frozenset({Permission.VIEW_ORG, Permission.VIEW_PROJECT, Permission.VIEW_ENVIRONMENT})
_OPERATE = _VIEW | {Permission.OPERATE_PROJECT, Permission.OPERATE_ENVIRONMENT}

MATRIX: dict[Role, frozenset[Permission]] = {
    Role.ORG_ADMIN: frozenset(Permission),
    Role.PROJECT_ADMIN: _OPERATE | {Permission.MANAGE_PROJECT, Permission.MANAGE_ENVIRONMENT},
    Role.OPERATOR: _OPERATE,
    Role.VIEWER: _VIEW,
}

_OF_ORGANIZATION = {Permission.VIEW_ORG, Permission.MANAGE_ORG_MEMBERSHIPS}
_OF_ENVIRONMENT = {
    Permission.VIEW_ENVIRONMENT,
    Permission.MANAGE_ENVIRONMENT,
    Permission.OPERATE_ENVIRONMENT,
}


def view_of(permission: Permission) -> Permission:
    """The permission to see what another permission is about."""
    if permission in _OF_ORGANIZATION:
        return Permission.VIEW_ORG
    return Permission.VIEW_ENVIRONMENT if permission in _OF_ENVIRONMENT else Permission.VIEW_PROJECT


def role_of(text: str | None) -> Role | None:
    """The role that a row names; one that is not known gives no permission (law 7)."""
    try:
        return Role(text) if text is not None else None
    except ValueError:
        return None


def permitted(
    permission: Permission, organization_role: Role | None, project_role: Role | None
) -> bool:
    """Whether a person with these roles holds a permission.

    1. An `org_admin` holds every permission, whatever a project's membership says.
    2. Without a role in the project, the role in the organization counts.
    3. A permission on an environment also needs the permission to view its project.

    Args:
        permission: what the route asks for.
        organization_role: the person's role in the organization, if any.
        project_role: the person's own role in the project that it is about, if any.
    """
    if organization_role is Role.ORG_ADMIN:
        return True
    if permission in _OF_ORGANIZATION:
        return organization_role is not None and permission in MATRIX[organization_role]
    role = project_role if project_role is not None else organization_role
    if role is None:
        return False
    if permission in _OF_ENVIRONMENT and Permission.VIEW_PROJECT not in MATRIX[role]:
        return False
    return permission in MATRIX[role]
