"""An organization is never without an org_admin; accounts are disabled where they were made."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.people import Person, join, open_session, person, personal_token

Change = Callable[[Person, str], Answer]


def demote(by: Person, user: str) -> Answer:
    return by.call("PATCH", f"/members/{user}", {"role": "viewer"})


def remove(by: Person, user: str) -> Answer:
    return by.call("DELETE", f"/members/{user}")


def disable(by: Person, user: str) -> Answer:
    return by.call("POST", f"/members/{user}/disable", {"note": "left the company"})


def enable(by: Person, user: str) -> Answer:
    return by.call("POST", f"/members/{user}/enable")


ENDINGS: list[Any] = [pytest.param(end, id=end.__name__) for end in (demote, remove, disable)]

LOST: dict[Change, tuple[int, str]] = {
    demote: (403, "permission_missing"),
    remove: (401, "membership_ended"),
    disable: (401, "user_disabled"),
}


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


def admins(tenant: Tenant) -> int:
    """How many org_admins the organization counts."""
    row = OrganizationItem.read(tenant.organization, "organization")
    assert row is not None
    return int(row.admins or 0)


def standing(tenant: Tenant) -> int:
    """How many there are, by their own rows."""
    rows = OrganizationItem.query(tenant.organization, OrganizationItem.item.startswith("member#"))
    return sum(row.role == "org_admin" and row.status == "active" for row in rows)


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


@pytest.mark.parametrize("end", ENDINGS)
def test_the_last_org_admin_stays(tenant: Tenant, admin: Person, end: Change) -> None:
    refused(end(admin, admin.user), 409, "last_org_admin")
    assert admin.call("GET", "/organization-keys").status == 200
    assert (admins(tenant), standing(tenant)) == (1, 1)
    assert tenant.audit("user", admin.user) == []


@pytest.mark.parametrize("end", ENDINGS)
def test_one_of_two_org_admins_may_go_and_the_other_is_the_last(
    tenant: Tenant, admin: Person, end: Change
) -> None:
    other = person(tenant, "org_admin")
    assert end(admin, other.user).status == 200
    assert (admins(tenant), standing(tenant)) == (1, 1)
    refused(end(admin, admin.user), 409, "last_org_admin")


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_two_org_admins_who_end_each_other_at_once_leave_one(
    tenant: Tenant, admin: Person, first: Change, second: Change
) -> None:
    other = person(tenant, "org_admin")
    with interleaved(lambda: second(other, admin.user), on="TransactWriteItems") as won:
        lost = first(admin, other.user)
    assert won[0].status == 200
    # What the guard saw of the one who asked is no more.
    status, code = LOST[second]
    refused(lost, status, code)
    assert (admins(tenant), standing(tenant)) == (1, 1)


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_two_org_admins_who_go_at_once_leave_one(
    tenant: Tenant, admin: Person, first: Change, second: Change
) -> None:
    other = person(tenant, "org_admin")
    with interleaved(lambda: second(other, other.user), on="TransactWriteItems") as won:
        lost = first(admin, admin.user)
    assert won[0].status == 200
    refused(lost, 409, "last_org_admin")
    assert (admins(tenant), standing(tenant)) == (1, 1)


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_counts_nobody_twice(
    tenant: Tenant, admin: Person, end: Change, fault: faults.Fault
) -> None:
    other = person(tenant, "org_admin")
    with injected(fault, on="TransactWriteItems"):
        assert end(admin, other.user).status == 200
    assert (admins(tenant), standing(tenant)) == (1, 1)
    assert len(tenant.audit("user", other.user)) == 1


def test_who_is_made_an_org_admin_counts(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, "viewer")
    assert admin.call("PATCH", f"/members/{other.user}", {"role": "org_admin"}).status == 200
    assert admins(tenant) == 2
    assert demote(other, admin.user).status == 200
    refused(demote(other, other.user), 409, "last_org_admin")


def test_two_changes_of_one_member_at_once_both_count(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, "org_admin")
    path = f"/projects/{tenant.project}/members/{other.user}"
    with interleaved(
        lambda: admin.call("PUT", path, {"role": "viewer"}), on="TransactWriteItems"
    ) as between:
        assert demote(admin, other.user).status == 200
    assert between[0].status == 200
    row = admin.call("GET", f"/members/{other.user}").body
    assert (row["role"], row["projects"]) == ("viewer", {tenant.project: "viewer"})
    assert admins(tenant) == 1


def test_a_deleted_organization_gets_no_further_org_admin(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, "viewer")

    def close() -> None:
        OrganizationItem(tenant.organization, "organization").update(
            [OrganizationItem.status.set("deleting")]
        )

    with interleaved(close, on="TransactWriteItems"):
        answer = admin.call("PATCH", f"/members/{other.user}", {"role": "org_admin"})
    refused(answer, 403, "organization_closed")


# ------------------------------------------------------------------------------ disabled accounts


def test_a_disabled_person_is_refused_everywhere_with_every_credential(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    member = person(tenant, "operator")
    join(other_tenant, member.user, member.username, "viewer")
    sessions = [member.session, open_session(other_tenant, member.user)[0]]
    tokens = [
        personal_token(here, member.user, {"organization:read"})[0]
        for here in (tenant, other_tenant)
    ]
    disabled = disable(admin, member.user)
    assert (disabled.status, disabled.body["status"]) == (200, "disabled")
    for credential in (*sessions, *tokens):
        answer = tenant.api.call("GET", "/api/v1/members", credential=credential)
        refused(answer, 401, "user_disabled")
    (record,) = tenant.audit("user", member.user)
    assert (record["event"], record["detail"]["note"]) == ("user.disabled", "left the company")


def test_an_enabled_person_logs_in_anew_and_the_tokens_work_again(
    tenant: Tenant, admin: Person, clock: FrozenClock
) -> None:
    member = person(tenant, "operator")
    token, _ = personal_token(tenant, member.user, {"organization:read"})
    disable(admin, member.user)
    clock.advance(seconds=3)
    assert enable(admin, member.user).body["status"] == "active"
    refused(member.call("GET", "/members"), 401, "credential_revoked")
    assert tenant.api.call("GET", "/api/v1/members", credential=token).status == 200
    fresh, _ = open_session(tenant, member.user)
    assert tenant.api.call("GET", "/api/v1/members", credential=fresh).status == 200
    kinds = [record["event"] for record in tenant.audit("user", member.user)]
    assert kinds == ["user.disabled", "user.enabled"]


def test_doing_so_twice_changes_nothing(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, "org_admin")
    for change, count in ((disable, 1), (disable, 1), (enable, 2), (enable, 2)):
        assert change(admin, other.user).status == 200
        assert admins(tenant) == count
    assert len(tenant.audit("user", other.user)) == 2


def test_only_the_home_of_an_account_disables_it(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    guest = person(other_tenant, "viewer")
    join(tenant, guest.user, guest.username, "viewer")
    refused(disable(admin, guest.user), 409, "not_home")
    refused(enable(admin, guest.user), 409, "not_home")
    assert guest.call("GET", "/members").status == 200


def test_the_home_disables_an_account_that_is_no_member_any_more(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    member = person(tenant, "viewer")
    join(other_tenant, member.user, member.username, "viewer")
    elsewhere, _ = open_session(other_tenant, member.user)
    assert remove(admin, member.user).status == 200
    assert disable(admin, member.user).status == 200
    answer = tenant.api.call("GET", "/api/v1/members", credential=elsewhere)
    refused(answer, 401, "user_disabled")
    assert enable(admin, member.user).status == 200
    account = PersonItem.read(member.user, "user")
    assert account is not None
    assert account.status == "active"


@pytest.mark.parametrize("role", ["viewer", "org_admin"])
def test_a_disabled_org_admin_does_not_count_whatever_role_comes_next(
    tenant: Tenant, admin: Person, role: str
) -> None:
    other = person(tenant, "org_admin")
    assert disable(admin, other.user).status == 200
    assert demote(admin, other.user).status == 200
    assert admin.call("PATCH", f"/members/{other.user}", {"role": role}).status == 200
    assert admins(tenant) == 1
    refused(demote(admin, admin.user), 409, "last_org_admin")
    assert enable(admin, other.user).status == 200
    assert admins(tenant) == standing(tenant) == (2 if role == "org_admin" else 1)


def test_a_disabled_org_admin_who_is_removed_was_not_counted(tenant: Tenant, admin: Person) -> None:
    other = person(tenant, "org_admin")
    assert disable(admin, other.user).status == 200
    assert remove(admin, other.user).status == 200
    assert (admins(tenant), standing(tenant)) == (1, 1)
