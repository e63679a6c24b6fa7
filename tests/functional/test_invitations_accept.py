"""Accepting an invitation: nothing is spent when anything fails, and nothing can be had twice."""

import json
from typing import Any

import pytest

from chalicelib import ids, runtime
from chalicelib.api.bearers import COOKIE
from chalicelib.credentials import person as credentials
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.accepting import PASSWORD, PATH, SECONDS, accept, invite, refused, status_of
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.people import Person, person


@pytest.fixture(autouse=True)
def _a_second_of_its_own(clock: FrozenClock) -> None:
    """Tests share the stage, and what it can hash in a second."""
    clock.advance(seconds=next(SECONDS))


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


@pytest.fixture
def username() -> str:
    return f"new-{ids.body(ids.new(ids.USER))}"


def test_whoever_accepts_is_a_member_with_what_was_offered(
    tenant: Tenant, admin: Person, username: str
) -> None:
    invitation, secret = invite(admin, role="operator", projects={tenant.project: "viewer"})
    answer = accept(tenant.api, secret, username.upper(), display_name="Ada Lovelace")
    assert answer.status == 201, answer.body
    user = answer.body["user_id"]
    assert answer.body == {
        "user_id": user,
        "username": username,
        "organization_id": tenant.organization,
        "organization_name": "Test",
        "role": "operator",
        "projects": {tenant.project: "viewer"},
    }
    shown = admin.call("GET", f"/members/{user}").body
    assert (shown["username"], shown["display_name"], shown["home"], shown["role"]) == (
        username, "Ada Lovelace", True, "operator",
    )  # fmt: skip
    account, own = (
        PersonItem.read(user, "user"),
        PersonItem.read(user, f"organization#{tenant.organization}"),
    )
    assert account is not None
    assert own is not None
    assert runtime.current().passwords.verify(account.password_hash, PASSWORD)
    assert (own.role, own.projects) == ("operator", {tenant.project: "viewer"})
    assert status_of(admin, invitation) == "used"
    kinds = {record["event"] for record in tenant.audit("invitation", invitation)}
    assert kinds == {"invitation.created", "invitation.accepted"}
    (added,) = tenant.audit("user", user)
    assert (added["event"], added["actor"]["id"]) == ("member.added", user)
    assert added["detail"]["invitation_id"] == invitation


def test_an_invited_org_admin_counts(tenant: Tenant, admin: Person, username: str) -> None:
    _, secret = invite(admin, role="org_admin")
    assert accept(tenant.api, secret, username).status == 201
    assert admin.call("PATCH", f"/members/{admin.user}", {"role": "viewer"}).status == 200


def test_an_invitation_is_good_once(tenant: Tenant, admin: Person, username: str) -> None:
    _, secret = invite(admin)
    assert accept(tenant.api, secret, username).status == 201
    refused(accept(tenant.api, secret, username), 410, "invitation_used")
    refused(accept(tenant.api, secret, f"{username}2"), 410, "invitation_used")


def test_an_invitation_that_is_over_is_told_to_its_holder_only(
    tenant: Tenant, admin: Person, username: str, clock: FrozenClock
) -> None:
    revoked, secret = invite(admin)
    assert admin.call("DELETE", f"/invitations/{revoked}").status == 200
    refused(accept(tenant.api, secret, username), 410, "invitation_revoked")
    _, late = invite(admin, ttl_seconds=300)
    clock.advance(seconds=300)
    refused(accept(tenant.api, late, username), 410, "invitation_expired")
    forged = credentials.INVITATION.issue(tenant.organization, revoked)
    refused(accept(tenant.api, forged, username), 404, "invitation_not_found")


def test_junk_costs_no_request(tenant: Tenant, admin: Person, username: str) -> None:
    _, secret = invite(admin)
    other = "0" if secret[-1] != "0" else "1"
    for junk in (
        "x",
        secret[:-1],
        secret[:-1] + other,
        admin.session,
        tenant.key,
        "rci_" + "0" * 99,
    ):
        with database_requests() as seen:
            refused(accept(tenant.api, junk, username), 404, "invitation_not_found")
            refused(
                tenant.api.call("POST", PATH, {"invitation": junk}, credential=admin.session),
                404,
                "invitation_not_found",
            )
        assert seen == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"username": None}, "account_incomplete"),
        ({"password": None}, "account_incomplete"),
        ({"username": None, "password": None, "display_name": "x"}, "account_incomplete"),
        ({"password": "short"}, "validation_failed"),
        ({"username": "-x"}, "validation_failed"),
        ({"role": "org_admin"}, "validation_failed"),
    ],
)
def test_a_request_that_is_not_valid_spends_nothing_and_reads_nothing(
    tenant: Tenant, admin: Person, username: str, changed: dict[str, Any], code: str
) -> None:
    invitation, secret = invite(admin)
    with database_requests() as seen:
        refused(accept(tenant.api, secret, username, **changed), 400, code)
    assert seen == []
    assert status_of(admin, invitation) == "pending"


def test_a_taken_username_spends_nothing_and_hashes_nothing(
    tenant: Tenant, admin: Person, username: str
) -> None:
    invitation, secret = invite(admin)

    class Never:
        def hash(self, password: str) -> str:
            raise AssertionError(len(password))

    passwords = runtime.current().passwords
    vars(runtime.current())["passwords"] = Never()
    refused(accept(tenant.api, secret, admin.username.upper()), 409, "username_taken")
    refused(accept(tenant.api, "rci_junk", username), 404, "invitation_not_found")
    vars(runtime.current())["passwords"] = passwords
    assert status_of(admin, invitation) == "pending"
    assert accept(tenant.api, secret, username).status == 201


def test_no_more_passwords_are_hashed_than_the_stage_has_time_for(
    tenant: Tenant, admin: Person, username: str, clock: FrozenClock
) -> None:
    from chalicelib.flows import login_guard

    invitation, secret = invite(admin)
    for _ in range(login_guard.MOST_IN_A_SLICE):
        login_guard.spend(clock.now)
    answer = accept(tenant.api, secret, username)
    refused(answer, 429, "login_busy")
    assert status_of(admin, invitation) == "pending"
    clock.advance(seconds=1)
    assert accept(tenant.api, secret, username).status == 201


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_makes_one_account(
    tenant: Tenant, admin: Person, username: str, fault: faults.Fault
) -> None:
    _, secret = invite(admin, role="org_admin")
    with injected(fault, on="TransactWriteItems"):
        answer = accept(tenant.api, secret, username)
    assert answer.status == 201, answer.body
    row = OrganizationItem.read(tenant.organization, "organization")
    assert row is not None
    assert row.admins == 2
    assert len(admin.call("GET", "/members").body["members"]) == 2
    reserved = PersonItem.read(f"username#{username}", "username")
    assert reserved is not None
    assert reserved.user == answer.body["user_id"]


@pytest.mark.parametrize("fault", [faults.DENIED, faults.DROPPED], ids=str)
def test_a_write_that_never_comes_spends_nothing(
    tenant: Tenant, admin: Person, username: str, fault: faults.Fault
) -> None:
    invitation, secret = invite(admin)
    with injected(fault, on="TransactWriteItems", times=faults.ALWAYS):
        assert accept(tenant.api, secret, username).status == 503
    assert status_of(admin, invitation) == "pending"
    assert accept(tenant.api, secret, username).status == 201


# ------------------------------------------------------------------------ somebody who is logged in


def test_somebody_who_is_logged_in_joins_with_their_account(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    guest = person(other_tenant, "viewer")
    invitation, secret = invite(admin, role="operator")
    answer = guest.call("POST", "/invitations/accept", {"invitation": secret})
    assert answer.status == 201, answer.body
    assert (answer.body["user_id"], answer.body["username"]) == (guest.user, guest.username)
    shown = admin.call("GET", f"/members/{guest.user}").body
    assert (shown["role"], shown["home"]) == ("operator", False)
    own = PersonItem.read(guest.user, f"organization#{tenant.organization}")
    assert own is not None
    records = {record["event"]: record for record in tenant.audit("invitation", invitation)}
    record = records["invitation.accepted"]
    assert (record["detail"]["created"], record["actor"]["id"]) == (False, guest.user)
    # Where the person came from learns nothing of it.
    assert other_tenant.audit("user", guest.user) == []


def test_who_belongs_already_spends_nothing(tenant: Tenant, admin: Person) -> None:
    member = person(tenant, "viewer")
    invitation, secret = invite(admin, role="org_admin")
    answer = member.call("POST", "/invitations/accept", {"invitation": secret})
    refused(answer, 409, "already_member")
    assert status_of(admin, invitation) == "pending"


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_makes_one_membership(
    tenant: Tenant, other_tenant: Tenant, admin: Person, fault: faults.Fault
) -> None:
    guest = person(other_tenant, "viewer")
    _, secret = invite(admin)
    with injected(fault, on="TransactWriteItems"):
        answer = guest.call("POST", "/invitations/accept", {"invitation": secret})
    assert answer.status == 201, answer.body
    assert len(tenant.audit("user", guest.user)) == 1


def test_without_a_session_an_account_has_to_be_asked_for(tenant: Tenant, admin: Person) -> None:
    _, secret = invite(admin)
    answer = tenant.api.call("POST", PATH, {"invitation": secret})
    refused(answer, 401, "credential_missing")


def test_another_sites_page_cannot_make_somebody_join(
    tenant: Tenant, other_tenant: Tenant, admin: Person
) -> None:
    guest = person(other_tenant, "viewer")
    invitation, secret = invite(admin)
    headers = {"Cookie": f"{COOKIE}={guest.session}", "Sec-Fetch-Site": "cross-site"}
    answer = tenant.api.call("POST", PATH, {"invitation": secret}, headers=headers)
    refused(answer, 403, "cross_site_request")
    assert status_of(admin, invitation) == "pending"
    headers["Sec-Fetch-Site"] = "same-origin"
    assert tenant.api.call("POST", PATH, {"invitation": secret}, headers=headers).status == 201


def test_neither_the_password_nor_the_secret_is_kept(
    tenant: Tenant, admin: Person, username: str
) -> None:
    invitation, secret = invite(admin)
    user = accept(tenant.api, secret, username).body["user_id"]
    rows = [
        *PersonItem.query(user),
        *PersonItem.query(tenant.organization),
        *OrganizationItem.query(tenant.organization),
    ]
    kept = json.dumps([row.serialize() for row in rows], default=str)
    told = str(tenant.audit("invitation", invitation)) + str(tenant.audit("user", user))
    for raw in (secret, PASSWORD, secret[50:]):
        assert raw not in kept + told
