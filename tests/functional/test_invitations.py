"""Invitations: made, listed, taken back."""

from typing import Any

import pytest

from chalicelib import ids
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.people import Person, person

DAY = 86_400


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


def invite(admin: Person, **wanted: Any) -> dict[str, Any]:
    """A fresh invitation with its secret."""
    answer = admin.call("POST", "/invitations", {"role": "viewer", **wanted})
    assert answer.status == 201, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def test_the_secret_is_shown_once(tenant: Tenant, admin: Person) -> None:
    made = invite(admin, projects={tenant.project: "operator"}, note="the new one")
    secret = made.pop("invitation")
    assert secret.startswith("rci_")
    listed = admin.call("GET", "/invitations").body
    assert listed == {"invitations": [made], "next_cursor": None}
    assert (made["status"], made["role"], made["projects"]) == (
        "pending", "viewer", {tenant.project: "operator"},
    )  # fmt: skip
    assert (made["invited_by"], made["user_id"]) == (admin.user, None)
    (record,) = tenant.audit("invitation", made["invitation_id"])
    assert record["event"] == "invitation.created"
    assert record["detail"] == {
        "invitation_id": made["invitation_id"],
        "role": "viewer",
        "expires_at": made["expires_at"],
        "projects": {tenant.project: "operator"},
        "note": "the new one",
    }
    assert secret not in str((listed, record))


def test_an_invitation_is_good_for_a_week_unless_it_is_said(
    admin: Person, clock: FrozenClock
) -> None:
    week, hour = invite(admin)["invitation_id"], invite(admin, ttl_seconds=3600)["invitation_id"]

    def statuses() -> dict[str, str]:
        rows = admin.call("GET", "/invitations").body["invitations"]
        return {row["invitation_id"]: row["status"] for row in rows}

    assert statuses() == {week: "pending", hour: "pending"}
    clock.advance(seconds=3600)
    assert statuses() == {week: "pending", hour: "expired"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "role_missing"),
        ({"role": None, "projects": {}}, "role_missing"),
        ({"role": "owner"}, "validation_failed"),
        ({"role": "viewer", "ttl_seconds": 299}, "validation_failed"),
        ({"role": "viewer", "ttl_seconds": 30 * DAY + 1}, "validation_failed"),
        ({"projects": {"x": "viewer"}}, "validation_failed"),
        ({"projects": {ids.new("prj"): "org_admin"}}, "validation_failed"),
        ({"projects": {ids.new("prj"): "viewer" for _ in range(21)}}, "validation_failed"),
        ({"role": "viewer", "username": "eve"}, "validation_failed"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(
    admin: Person, body: dict[str, Any], code: str
) -> None:
    refused(admin.call("POST", "/invitations", body), 400, code)


def test_nobody_is_invited_to_a_project_of_somebody_else(
    other_tenant: Tenant, admin: Person
) -> None:
    for project in (other_tenant.project, ids.new(ids.PROJECT)):
        answer = admin.call("POST", "/invitations", {"projects": {project: "viewer"}})
        refused(answer, 404, "project_not_found")


def test_a_revoked_invitation_stays_revoked(tenant: Tenant, admin: Person) -> None:
    made = invite(admin)
    path = f"/invitations/{made['invitation_id']}"
    for _ in range(2):
        revoked = admin.call("DELETE", path)
        assert (revoked.status, revoked.body["status"]) == (200, "revoked")
    kinds = sorted(row["event"] for row in tenant.audit("invitation", made["invitation_id"]))
    assert kinds == ["invitation.created", "invitation.revoked"]


def test_an_invitation_of_another_organization_is_none(other_tenant: Tenant, admin: Person) -> None:
    foreign = invite(person(other_tenant, "org_admin"))["invitation_id"]
    for identifier in (foreign, ids.new(ids.INVITATION), "inv_x"):
        answer = admin.call("DELETE", f"/invitations/{identifier}")
        refused(answer, 404, "invitation_not_found")
    assert admin.call("GET", "/invitations").body["invitations"] == []


def test_a_list_goes_on_where_a_page_ended(admin: Person) -> None:
    made = {invite(admin)["invitation_id"] for _ in range(3)}
    first = admin.call("GET", "/invitations?limit=2").body
    second = admin.call("GET", f"/invitations?limit=2&cursor={first['next_cursor']}").body
    rows = first["invitations"] + second["invitations"]
    assert {row["invitation_id"] for row in rows} == made
    assert (len(rows), second["next_cursor"]) == (3, None)


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_makes_one_invitation(tenant: Tenant, admin: Person, fault: faults.Fault) -> None:
    with injected(fault, on="TransactWriteItems"):
        made = invite(admin)
    assert len(admin.call("GET", "/invitations").body["invitations"]) == 1
    assert len(tenant.audit("invitation", made["invitation_id"])) == 1
    with injected(fault, on="TransactWriteItems"):
        assert admin.call("DELETE", f"/invitations/{made['invitation_id']}").status == 200
    assert len(tenant.audit("invitation", made["invitation_id"])) == 2


@pytest.mark.parametrize("end", ["demoted", "removed", "disabled"])
def test_the_list_shows_that_an_invitation_ended_with_its_makers_power(
    tenant: Tenant, admin: Person, end: str
) -> None:
    other = person(tenant, "org_admin")
    theirs, mine = invite(other)["invitation_id"], invite(admin)["invitation_id"]
    member = f"/members/{other.user}"
    answer = {
        "demoted": lambda: admin.call("PATCH", member, {"role": "viewer"}),
        "removed": lambda: admin.call("DELETE", member),
        "disabled": lambda: admin.call("POST", f"{member}/disable", {}),
    }[end]()
    assert answer.status == 200
    rows = admin.call("GET", "/invitations").body["invitations"]
    assert {row["invitation_id"]: row["status"] for row in rows} == {
        theirs: "revoked",
        mine: "pending",
    }
