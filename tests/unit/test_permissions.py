"""The table of roles and permissions, and the rules by which a role is found."""

import pytest

from chalicelib.permissions import (
    MATRIX,
    PROJECT_ROLES,
    Permission,
    Role,
    permitted,
    role_of,
    view_of,
)

P, R = Permission, Role
VIEWS = {P.VIEW_ORG, P.VIEW_PROJECT, P.VIEW_ENVIRONMENT}
OPERATES = {P.OPERATE_PROJECT, P.OPERATE_ENVIRONMENT}
MANAGES = {P.MANAGE_PROJECT, P.MANAGE_ENVIRONMENT}
OF_ORGANIZATION = {P.VIEW_ORG, P.MANAGE_ORG_MEMBERSHIPS}


def test_the_matrix_is_what_the_documents_say() -> None:
    assert MATRIX[R.VIEWER] == VIEWS
    assert MATRIX[R.OPERATOR] == VIEWS | OPERATES
    assert MATRIX[R.PROJECT_ADMIN] == VIEWS | OPERATES | MANAGES
    assert MATRIX[R.ORG_ADMIN] == set(P)


@pytest.mark.parametrize("permission", P)
@pytest.mark.parametrize("own", [None, *PROJECT_ROLES])
def test_an_org_admin_holds_every_permission(permission: Permission, own: Role | None) -> None:
    assert permitted(permission, R.ORG_ADMIN, own)


@pytest.mark.parametrize("permission", P)
@pytest.mark.parametrize("role", [R.PROJECT_ADMIN, R.OPERATOR, R.VIEWER])
def test_without_a_role_in_the_project_the_organizations_counts(
    permission: Permission, role: Role
) -> None:
    assert permitted(permission, role, None) == (permission in MATRIX[role])


@pytest.mark.parametrize("permission", sorted(set(P) - OF_ORGANIZATION))
@pytest.mark.parametrize("own", PROJECT_ROLES)
@pytest.mark.parametrize("role", [None, R.PROJECT_ADMIN, R.OPERATOR, R.VIEWER])
def test_a_role_in_the_project_replaces_the_organizations(
    permission: Permission, role: Role | None, own: Role
) -> None:
    assert permitted(permission, role, own) == (permission in MATRIX[own])


@pytest.mark.parametrize("permission", sorted(OF_ORGANIZATION))
@pytest.mark.parametrize("own", PROJECT_ROLES)
def test_a_role_in_a_project_says_nothing_of_the_organization(
    permission: Permission, own: Role
) -> None:
    assert not permitted(permission, None, own)
    assert permitted(permission, R.VIEWER, own) == (permission is P.VIEW_ORG)


def test_an_environment_needs_the_view_of_its_project(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = MATRIX[R.OPERATOR] - {P.VIEW_PROJECT}
    monkeypatch.setitem(MATRIX, R.OPERATOR, blind)
    assert not permitted(P.OPERATE_ENVIRONMENT, R.OPERATOR, None)
    assert not permitted(P.VIEW_ENVIRONMENT, None, R.OPERATOR)
    assert permitted(P.OPERATE_PROJECT, R.OPERATOR, None)


@pytest.mark.parametrize("permission", P)
def test_nobody_holds_nothing(permission: Permission) -> None:
    assert not permitted(permission, None, None)


@pytest.mark.parametrize("text", [None, "", "root", "Viewer", "viewer ", "org-admin"])
def test_what_is_no_role_is_none(text: str | None) -> None:
    assert role_of(text) is None


@pytest.mark.parametrize("role", R)
def test_a_role_is_read_by_its_name(role: Role) -> None:
    assert role_of(str(role)) is role


@pytest.mark.parametrize("permission", P)
def test_what_a_permission_is_about_can_be_seen_by_one(permission: Permission) -> None:
    view = view_of(permission)
    assert view in VIEWS
    assert view_of(view) is view
