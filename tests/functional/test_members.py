"""Members: their roles in the organization and in projects, and the end of both."""

from typing import Any

import pytest

from chalicelib import ids
from chalicelib.store.organizations import OrganizationItem, put_new
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Transaction
from tests.functional.api import Answer, Tenant
from tests.functional.people import Person, join, open_session, person


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


def mirror(tenant: Tenant, user: str) -> PersonItem | None:
    return PersonItem.read(user, f"organization#{tenant.organization}")


def new_project(tenant: Tenant) -> str:
    """Another project of the tenant."""
    project = ids.new(ids.PROJECT)
    transaction = Transaction()
    put_new(
        transaction, tenant.organization, f"project#{project}", name="other",
        created_at=tenant.api.clock.now,
    )  # fmt: skip
    assert transaction.write() is None
    return project


def events(tenant: Tenant, user: str) -> list[tuple[str, dict[str, Any]]]:
    """What happened to a person here, oldest first."""
    return [(record["event"], record["detail"]) for record in tenant.audit("user", user)]


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


def test_members_are_listed_with_their_roles_and_accounts(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, None, projects={tenant.project: "viewer"})
    listed = admin.call("GET", "/members").body
    assert listed["next_cursor"] is None
    by_user = {row["user_id"]: row for row in listed["members"]}
    assert set(by_user) == {admin.user, other.user}
    assert by_user[other.user] == {
        "user_id": other.user,
        "username": other.username,
        "display_name": None,
        "status": "active",
        "home": True,
        "role": None,
        "projects": {tenant.project: "viewer"},
        "joined_at": by_user[admin.user]["joined_at"],
    }
    assert admin.call("GET", f"/members/{other.user}").body == by_user[other.user]


def test_a_list_goes_on_where_a_page_ended(tenant: Tenant, admin: Person) -> None:
    users = {admin.user, *(person(tenant, "viewer").user for _ in range(4))}
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = admin.call("GET", f"/members?limit=2{cursor}").body
        seen += [row["user_id"] for row in page["members"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert sorted(seen) == seen
    assert set(seen) == users


def test_a_role_is_changed_with_its_mirror_and_its_evidence(tenant: Tenant, admin: Person) -> None:
    member = person(tenant, "viewer")
    refused(member.call("GET", "/organization-keys"), 403, "permission_missing")
    changed = admin.call("PATCH", f"/members/{member.user}", {"role": "org_admin"})
    assert (changed.status, changed.body["role"]) == (200, "org_admin")
    assert member.call("GET", "/organization-keys").status == 200
    own = mirror(tenant, member.user)
    assert own is not None
    assert own.role == "org_admin"
    row = tenant.audit("user", member.user)[0]
    assert row["event"] == "member.updated"
    assert row["actor"]["id"] == admin.user
    assert row["detail"] == {
        "user_id": member.user, "role": "org_admin", "previous_role": "viewer", "project_id": None,
    }  # fmt: skip


def test_a_role_can_be_taken_away_and_the_roles_in_projects_stay(
    tenant: Tenant, admin: Person
) -> None:
    member = person(tenant, "operator", projects={tenant.project: "viewer"})
    changed = admin.call("PATCH", f"/members/{member.user}", {"role": None})
    assert (changed.body["role"], changed.body["projects"]) == (None, {tenant.project: "viewer"})
    refused(member.call("GET", "/members"), 403, "permission_missing")
    assert member.call("GET", f"/projects/{tenant.project}/members").status == 200


def test_the_same_role_again_changes_nothing(tenant: Tenant, admin: Person) -> None:
    member = person(tenant, "viewer")
    assert admin.call("PATCH", f"/members/{member.user}", {"role": "viewer"}).status == 200
    assert events(tenant, member.user) == []


@pytest.mark.parametrize("body", [{"role": "owner"}, {}, {"role": "viewer", "user": "x"}])
def test_a_role_that_nobody_knows_is_refused(admin: Person, body: dict[str, Any]) -> None:
    refused(admin.call("PATCH", f"/members/{admin.user}", body), 400, "validation_failed")


def test_a_removed_member_has_lost_every_power_and_keeps_the_account(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    member = person(tenant, "operator", projects={tenant.project: "project_admin"})
    join(other_tenant, member.user, member.username, "viewer")
    elsewhere, _ = open_session(other_tenant, member.user)
    removed = admin.call("DELETE", f"/members/{member.user}")
    assert (removed.status, removed.body["role"]) == (200, "operator")
    refused(member.call("GET", "/members"), 401, "membership_ended")
    assert mirror(tenant, member.user) is None
    assert tenant.api.call("GET", "/api/v1/members", credential=elsewhere).status == 200
    ((event, detail),) = events(tenant, member.user)
    assert event == "member.removed"
    assert detail["projects"] == {tenant.project: "project_admin"}
    refused(admin.call("DELETE", f"/members/{member.user}"), 404, "member_not_found")


@pytest.mark.parametrize("role", ["project_admin", "operator", "viewer", None])
def test_only_who_manages_memberships_gives_roles(tenant: Tenant, role: str | None) -> None:
    member = person(tenant, role, projects={tenant.project: "project_admin"})
    for method, path, body in [
        ("PATCH", f"/members/{member.user}", {"role": "org_admin"}),
        ("DELETE", f"/members/{member.user}", None),
        ("POST", f"/members/{member.user}/disable", None),
        ("POST", "/invitations", {"role": "org_admin"}),
        ("POST", "/organization-keys", {"name": "k", "scopes": ["organization:write"]}),
    ]:
        refused(member.call(method, path, body), 403, "permission_missing")


def test_an_account_of_another_organization_is_nobody_here(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    foreign = person(other_tenant, "viewer").user
    for identifier in (foreign, ids.new(ids.USER), "usr_x", tenant.organization):
        for method, path, body in [
            ("GET", "", None),
            ("PATCH", "", {"role": "viewer"}),
            ("DELETE", "", None),
            ("POST", "/disable", None),
            ("POST", "/enable", None),
        ]:
            answer = admin.call(method, f"/members/{identifier}{path}", body)
            refused(answer, 404, "member_not_found")
        path = f"/projects/{tenant.project}/members/{identifier}"
        refused(admin.call("PUT", path, {"role": "viewer"}), 404, "member_not_found")
        refused(admin.call("DELETE", path), 404, "member_not_found")


# ------------------------------------------------------------------------------ roles in projects


def test_a_project_admin_gives_roles_in_the_own_project_and_in_no_other(tenant: Tenant) -> None:
    other = new_project(tenant)
    boss = person(tenant, None, projects={tenant.project: "project_admin"})
    member = person(tenant, None)
    given = boss.call(
        "PUT", f"/projects/{tenant.project}/members/{member.user}", {"role": "operator"}
    )
    assert (given.status, given.body["role"]) == (200, "operator")
    for user in (member.user, boss.user):
        answer = boss.call("PUT", f"/projects/{other}/members/{user}", {"role": "viewer"})
        refused(answer, 404, "project_not_found")
    ((event, detail),) = events(tenant, member.user)
    assert (event, detail["project_id"], detail["role"]) == (
        "member.updated", tenant.project, "operator",
    )  # fmt: skip
    own = mirror(tenant, member.user)
    assert own is not None
    assert own.projects == {tenant.project: "operator"}


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_without_managing_a_project_nobody_gives_roles_in_it(tenant: Tenant, role: str) -> None:
    member = person(tenant, None, projects={tenant.project: role})
    path = f"/projects/{tenant.project}/members/{member.user}"
    refused(member.call("PUT", path, {"role": "project_admin"}), 403, "permission_missing")
    refused(member.call("DELETE", path), 403, "permission_missing")


def test_no_role_in_a_project_is_greater_than_project_admin(tenant: Tenant, admin: Person) -> None:
    path = f"/projects/{tenant.project}/members/{admin.user}"
    refused(admin.call("PUT", path, {"role": "org_admin"}), 400, "validation_failed")


def test_a_role_in_a_project_ends_and_that_of_the_organization_counts_again(
    tenant: Tenant, admin: Person
) -> None:
    member = person(tenant, "operator", projects={tenant.project: "viewer"})
    wish = {"environment": tenant.environment}
    refused(member.call("POST", "/agent-enrollment/tokens", wish), 403, "permission_missing")
    path = f"/projects/{tenant.project}/members/{member.user}"
    ended = admin.call("DELETE", path)
    assert (ended.status, ended.body["role"]) == (200, None)
    assert member.call("POST", "/agent-enrollment/tokens", wish).status == 201
    refused(admin.call("DELETE", path), 404, "member_not_found")


def test_only_members_with_a_role_of_their_own_are_listed_under_a_project(
    tenant: Tenant, admin: Person
) -> None:
    viewers = {person(tenant, None, projects={tenant.project: "viewer"}).user for _ in range(3)}
    person(tenant, "operator")
    person(tenant, None, projects={new_project(tenant): "viewer"})
    path = f"/projects/{tenant.project}/members?limit=2"
    first = admin.call("GET", path).body
    second = admin.call("GET", f"{path}&cursor={first['next_cursor']}").body
    assert [len(page["members"]) for page in (first, second)] == [2, 1]
    assert second["next_cursor"] is None
    rows = first["members"] + second["members"]
    assert {row["user_id"] for row in rows} == viewers
    assert {row["role"] for row in rows} == {"viewer"}


def test_a_person_has_roles_in_200_projects_at_most_and_dead_ones_do_not_count(
    tenant: Tenant, admin: Person
) -> None:
    dead = {ids.new(ids.PROJECT): "viewer" for _ in range(200)}
    member = person(tenant, None, projects=dead)
    path = f"/projects/{tenant.project}/members/{member.user}"
    assert admin.call("PUT", path, {"role": "viewer"}).status == 200
    row = OrganizationItem.read(tenant.organization, f"member#{member.user}")
    assert row is not None
    assert row.projects == {tenant.project: "viewer"}
    alive = {new_project(tenant): "viewer" for _ in range(200)}
    full = person(tenant, None, projects=alive)
    path = f"/projects/{tenant.project}/members/{full.user}"
    refused(admin.call("PUT", path, {"role": "viewer"}), 409, "too_many_project_roles")
    changed = admin.call(
        "PUT", f"/projects/{next(iter(alive))}/members/{full.user}", {"role": "operator"}
    )
    assert changed.status == 200


def test_a_session_of_a_worker_whose_clock_is_ahead_does_not_come_back_with_the_account(
    tenant: Tenant, admin: Person
) -> None:
    clock = tenant.api.clock
    clock.advance(seconds=1)
    ahead = person(tenant, "operator")
    clock.now -= 1_000
    for change in ("disable", "enable"):
        assert admin.call("POST", f"/members/{ahead.user}/{change}", {}).status == 200
    refused(ahead.call("GET", "/me"), 401, "credential_revoked")
