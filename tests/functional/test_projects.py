"""Projects and environments: made, read, renamed, listed; by whom, and under which names."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.store import organizations
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests, writes
from tests.functional.people import person
from tests.functional.test_lists_paging import pages

KINDS = ("project", "environment")


def wish(tenant: Tenant, kind: str, name: str) -> dict[str, Any]:
    """The body that creates one."""
    return {"name": name} | ({"project": tenant.project} if kind == "environment" else {})


def made(tenant: Tenant, kind: str, name: str) -> str:
    """A new one's identifier."""
    answer = tenant.call("POST", f"/{kind}s", wish(tenant, kind, name))
    assert answer.status == 201, answer.body
    return str(answer.body[f"{kind}_id"])


def test_what_was_created_is_read_again(tenant: Tenant) -> None:
    project = tenant.call("POST", "/projects", {"name": "Edge"})
    assert project.status == 201
    identifier = project.body["project_id"]
    assert tenant.call("GET", f"/projects/{identifier}").body == project.body
    body = {"project": identifier, "name": "Prod", "heartbeat_interval_seconds": 30}
    environment = tenant.call("POST", "/environments", body)
    assert environment.status == 201
    shape = environment.body
    assert {name: shape[name] for name in body} == body
    assert (shape["status"], shape["created_at"]) == ("active", project.body["created_at"])
    assert tenant.call("GET", f"/environments/{shape['environment_id']}").body == shape
    assert "fingerprint_key" not in shape
    token = tenant.mint(environment=shape["environment_id"])
    enrolled = tenant.exchange(token["token"], machine_id="m-1")
    assert enrolled.body["heartbeat_interval_seconds"] == 30
    assert (enrolled.body["project"], enrolled.status) == (identifier, 201)


def _fingerprint_keys(tenant: Tenant, *environments: str) -> set[bytes]:
    rows = [organizations.find_environment(tenant.organization, name) for name in environments]
    return {bytes(row.fingerprint_key) for row in rows if row is not None}


def test_the_environments_of_an_organization_share_its_key_for_fingerprints(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    mine = _fingerprint_keys(tenant, tenant.environment, made(tenant, "environment", "two"))
    theirs = _fingerprint_keys(other_tenant, other_tenant.environment)
    assert [len(key) for key in (*mine, *theirs)] == [32, 32]
    assert mine != theirs


def test_an_organization_that_a_person_creates_has_a_key_for_fingerprints_of_its_own(
    tenant: Tenant,
) -> None:
    admin = person(tenant, "org_admin")
    made_by_admin = admin.call("POST", "/organizations", {"name": "Another"})
    row = organizations.find(made_by_admin.body["organization_id"], organizations.ORGANIZATION)
    assert row is not None
    assert len(bytes(row.fingerprint_key)) == 32
    assert "fingerprint_key" not in made_by_admin.body
    assert _fingerprint_keys(tenant, tenant.environment) != {bytes(row.fingerprint_key)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_anothers_without_regard_to_case(tenant: Tenant, kind: str) -> None:
    first = made(tenant, kind, "Edge Sites")
    again = tenant.call("POST", f"/{kind}s", wish(tenant, kind, "edge sites"))
    assert (again.status, again.code) == (409, "name_taken")
    second = made(tenant, kind, "other")
    renamed = tenant.call("PATCH", f"/{kind}s/{second}", {"name": "EDGE SITES"})
    assert (renamed.status, renamed.code) == (409, "name_taken")
    # Its own name in another case is no other's.
    assert tenant.call("PATCH", f"/{kind}s/{first}", {"name": "EDGE SITES"}).status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_was_given_up_is_free(tenant: Tenant, kind: str) -> None:
    first = made(tenant, kind, "before")
    assert tenant.call("PATCH", f"/{kind}s/{first}", {"name": "after"}).status == 200
    assert made(tenant, kind, "before") != first


def test_names_of_environments_are_their_projects(tenant: Tenant) -> None:
    made(tenant, "environment", "prod")
    other = made(tenant, "project", "other")
    body = {"project": other, "name": "prod"}
    assert tenant.call("POST", "/environments", body).status == 201


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_leaves_evidence_and_repeating_it_writes_nothing(
    tenant: Tenant, clock: FrozenClock, kind: str
) -> None:
    identifier = made(tenant, kind, "before")
    clock.advance(seconds=1)
    path = f"/{kind}s/{identifier}"
    assert tenant.call("PATCH", path, {"name": "after"}).body["name"] == "after"
    with database_requests() as seen:
        assert tenant.call("PATCH", path, {"name": "after"}).status == 200
    assert writes(seen) == []
    created, updated = tenant.audit(kind, identifier)
    assert [created["event"], updated["event"]] == [f"{kind}.created", f"{kind}.updated"]
    assert (updated["detail"]["name"], updated["detail"]["previous_name"]) == ("after", "before")
    assert created["detail"]["name"] == "before"
    project = identifier if kind == "project" else tenant.project
    assert {created["project"], updated["project"]} == {project}


def test_an_interval_reaches_the_agents_with_their_beats(
    tenant: Tenant, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    assert host.beat().body["heartbeat_interval_seconds"] == 60
    path = f"/environments/{tenant.environment}"
    changed = tenant.call("PATCH", path, {"heartbeat_interval_seconds": 10})
    assert (changed.status, changed.body["heartbeat_interval_seconds"]) == (200, 10)
    clock.advance(seconds=60)
    assert host.beat().body["heartbeat_interval_seconds"] == 10
    record = tenant.audit("environment", tenant.environment)[-1]["detail"]
    assert record["previous_heartbeat_interval_seconds"] == 60


def test_a_change_of_nothing_is_refused(tenant: Tenant) -> None:
    answer = tenant.call("PATCH", f"/environments/{tenant.environment}", {})
    assert (answer.status, answer.code) == (400, "nothing_to_change")


@pytest.mark.parametrize("kind", KINDS)
def test_pages_show_each_once_in_order(tenant: Tenant, kind: str) -> None:
    identifiers = [made(tenant, kind, f"one of {n}") for n in range(5)]
    identifiers.append(getattr(tenant, kind))
    found = pages(tenant, f"/{kind}s?limit=2", f"{kind}s")
    assert [len(page) for page in found] == [2, 2, 2]
    assert [row[f"{kind}_id"] for page in found for row in page] == sorted(identifiers)


def test_environments_of_one_project(tenant: Tenant) -> None:
    other = made(tenant, "project", "other")
    body = {"project": other, "name": "prod"}
    wanted = tenant.call("POST", "/environments", body).body["environment_id"]
    listed = tenant.call("GET", f"/environments?project={other}").body
    assert [row["environment_id"] for row in listed["environments"]] == [wanted]
    assert listed["next_cursor"] is None


def test_foreign_projects_and_environments_are_unknown(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    for kind in KINDS:
        path = f"/{kind}s/{getattr(other_tenant, kind)}"
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = tenant.call(method, path, body)
            assert (answer.status, answer.code) == (404, f"{kind}_not_found")
    body = {"project": other_tenant.project, "name": "x"}
    assert tenant.call("POST", "/environments", body).code == "project_not_found"
    assert tenant.call("GET", f"/environments?project={other_tenant.project}").body == {
        "environments": [],
        "next_cursor": None,
    }


def test_a_person_of_one_project_sees_and_changes_that_one_alone(tenant: Tenant) -> None:
    other = made(tenant, "project", "other")
    who = person(tenant, None, projects={other: "project_admin"})
    listed = who.call("GET", "/projects").body["projects"]
    assert [row["project_id"] for row in listed] == [other]
    assert who.call("GET", "/environments").body["environments"] == []
    assert who.call("GET", f"/projects/{tenant.project}").status == 404
    refused = who.call("POST", "/projects", {"name": "third"})
    assert (refused.status, refused.code) == (403, "permission_missing")
    body = {"project": other, "name": "prod"}
    mine = who.call("POST", "/environments", body)
    assert mine.status == 201
    assert who.call("DELETE", f"/environments/{mine.body['environment_id']}").status == 202
    assert who.call("DELETE", f"/environments/{tenant.environment}").status == 404


@pytest.mark.parametrize(("role", "status"), [("operator", 403), ("viewer", 403)])
def test_operators_and_viewers_change_no_parent(tenant: Tenant, role: str, status: int) -> None:
    who = person(tenant, role)
    calls: list[Callable[[], Any]] = [
        lambda: who.call("POST", "/projects", {"name": "x"}),
        lambda: who.call("POST", "/environments", wish(tenant, "environment", "x")),
        lambda: who.call("PATCH", f"/projects/{tenant.project}", {"name": "x"}),
        lambda: who.call("PATCH", f"/environments/{tenant.environment}", {"name": "x"}),
        lambda: who.call("DELETE", f"/projects/{tenant.project}"),
        lambda: who.call("DELETE", f"/environments/{tenant.environment}"),
    ]
    assert [call().status for call in calls] == [status] * len(calls)
    assert who.call("GET", f"/environments/{tenant.environment}").body["status"] == "active"
