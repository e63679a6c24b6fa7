"""Organizations: made by a person, renamed, and listed with what that person is in each."""

import pytest

from chalicelib.flows import organizations as organization_flow
from tests.functional.api import Tenant
from tests.functional.database_requests import database_requests, writes
from tests.functional.people import Person, person, personal_token


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


def test_whoever_creates_an_organization_is_its_org_admin(admin: Person) -> None:
    made = admin.call("POST", "/organizations", {"name": "Second"})
    assert made.status == 201, made.body
    assert (made.body["name"], made.body["status"]) == ("Second", "active")
    assert (made.body["created_by"], made.body["job_id"]) == (admin.user, None)
    listed = admin.call("GET", "/organizations").body["organizations"]
    roles = {row["organization_id"]: row["role"] for row in listed}
    assert roles == {
        admin.tenant.organization: "org_admin",
        made.body["organization_id"]: "org_admin",
    }


def test_the_new_organization_is_of_use_after_switching(admin: Person) -> None:
    from tests.functional.people import open_session

    made = admin.call("POST", "/organizations", {"name": "Second"}).body["organization_id"]
    there = Tenant(admin.tenant.api, made, "", "", "")
    session, _ = open_session(there, admin.user)
    call = admin.tenant.api.call
    project = call("POST", "/api/v1/projects", {"name": "First"}, credential=session)
    assert project.status == 201, project.body
    records = call(
        "GET",
        f"/api/v1/audit-records?resource_type=organization&resource_id={made}",
        credential=session,
    ).body["audit_records"]
    assert [record["event"] for record in records] == ["organization.created"]
    assert records[0]["detail"] == {"name": "Second", "user_id": admin.user}
    # The session that made it stays where it is.
    seen = admin.call("GET", f"/organizations/{made}")
    assert (seen.status, seen.code) == (404, "organization_not_found")


def test_the_org_admins_of_a_new_organization_are_counted(admin: Person) -> None:
    from chalicelib.store import organizations

    made = admin.call("POST", "/organizations", {"name": "Second"}).body["organization_id"]
    row = organizations.find(made, organizations.ORGANIZATION)
    assert row is not None
    assert int(row.admins) == 1


def test_renaming_writes_evidence_and_repeating_it_writes_nothing(
    tenant: Tenant, admin: Person
) -> None:
    path = f"/organizations/{tenant.organization}"
    assert admin.call("PATCH", path, {"name": "Renamed"}).body["name"] == "Renamed"
    assert admin.call("GET", path).body["name"] == "Renamed"
    with database_requests() as seen:
        assert admin.call("PATCH", path, {"name": "Renamed"}).status == 200
    assert writes(seen) == []
    records = tenant.audit("organization", tenant.organization)
    updated = [record for record in records if record["event"] == "organization.updated"]
    assert [record["detail"] for record in updated] == [
        {"name": "Renamed", "previous_name": "Test"}
    ]


def test_another_organization_is_unknown(tenant: Tenant, other_tenant: Tenant) -> None:
    who = person(tenant, "org_admin")
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = who.call(method, f"/organizations/{other_tenant.organization}", body)
        assert (answer.status, answer.code) == (404, "organization_not_found")
    assert other_tenant.call("GET", f"/organizations/{other_tenant.organization}").status == 200


def test_pages_of_organizations(admin: Person) -> None:
    made = {
        admin.call("POST", "/organizations", {"name": "one of many"}).body["organization_id"]
        for _ in range(4)
    }
    seen: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        answer = admin.call("GET", f"/organizations{query}")
        seen += [row["organization_id"] for row in answer.body["organizations"]]
        if answer.body["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={answer.body['next_cursor']}"
    assert seen == sorted({*made, admin.tenant.organization})


def test_a_personal_token_sees_the_same_organizations(admin: Person) -> None:
    raw, _ = personal_token(admin.tenant, admin.user, {"organization:read"})
    call = admin.tenant.api.call
    mine = admin.call("GET", "/organizations").body["organizations"]
    assert call("GET", "/api/v1/organizations", credential=raw).body["organizations"] == mine
    refused = call("POST", "/api/v1/organizations", {"name": "x"}, credential=raw)
    assert (refused.status, refused.code) == (401, "wrong_credential_family")


@pytest.mark.parametrize("role", ["project_admin", "operator", "viewer"])
def test_only_an_org_admin_creates_renames_and_deletes(tenant: Tenant, role: str) -> None:
    who = person(tenant, role)
    path = f"/organizations/{tenant.organization}"
    assert who.call("GET", path).status == 200
    for method, at, body in (
        ("POST", "/organizations", {"name": "x"}),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
    ):
        answer = who.call(method, at, body)
        assert (answer.status, answer.code) == (403, "permission_missing")


def test_a_person_has_a_bound_of_organizations(
    admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organization_flow, "MOST_OF_A_PERSON", 2)
    assert admin.call("POST", "/organizations", {"name": "second"}).status == 201
    refused = admin.call("POST", "/organizations", {"name": "third"})
    assert (refused.status, refused.code) == (409, "too_many_organizations")
