"""What happens at the very moment of accepting; and whose invitation it is."""

import pytest

from chalicelib import ids
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.accepting import PATH, SECONDS, accept, between, invite, refused, status_of
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.people import Person, join, open_session, person


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


def test_two_who_accept_one_invitation_at_once_are_one(
    tenant: Tenant, admin: Person, username: str
) -> None:
    _, secret = invite(admin)
    answer, other = between(
        lambda: accept(tenant.api, secret, f"{username}2"), tenant, secret, username
    )
    assert other.status == 201
    refused(answer, 410, "invitation_used")
    assert PersonItem.read(f"username#{username}", "username") is None


def test_two_who_want_one_username_at_once_spend_one_invitation(
    tenant: Tenant, admin: Person, username: str
) -> None:
    (first, secret), (_, other_secret) = invite(admin), invite(admin)
    answer, other = between(
        lambda: accept(tenant.api, other_secret, username), tenant, secret, username
    )
    assert other.status == 201
    refused(answer, 409, "username_taken")
    assert status_of(admin, first) == "pending"


def test_an_invitation_that_is_revoked_at_this_moment_admits_nobody(
    tenant: Tenant, admin: Person, username: str
) -> None:
    invitation, secret = invite(admin)
    answer, revoked = between(
        lambda: admin.call("DELETE", f"/invitations/{invitation}"), tenant, secret, username
    )
    assert revoked.status == 200
    refused(answer, 410, "invitation_revoked")


# -------------------------------------------------------------------------- whose invitation it is


@pytest.mark.parametrize("end", ["PATCH", "DELETE", "disable"])
@pytest.mark.parametrize("at_once", [False, True])
def test_an_invitation_ends_with_its_makers_power_to_invite(
    tenant: Tenant, admin: Person, username: str, end: str, *, at_once: bool
) -> None:
    maker = person(tenant, "org_admin")
    _, secret = invite(maker, role="org_admin")

    def ended() -> Answer:
        path = f"/members/{maker.user}"
        if end == "disable":
            return admin.call("POST", f"{path}/disable")
        return admin.call(end, path, {"role": "project_admin"} if end == "PATCH" else None)

    if at_once:
        answer, done = between(ended, tenant, secret, username)
    else:
        done = ended()
        answer = accept(tenant.api, secret, username)
    assert done.status == 200
    refused(answer, 410, "invitation_revoked")
    assert PersonItem.read(f"username#{username}", "username") is None


def test_nobody_comes_back_by_an_invitation_of_their_own(tenant: Tenant, admin: Person) -> None:
    maker = person(tenant, "org_admin")
    _, secret = invite(maker, role="org_admin")
    other = tenant.api.new_tenant()
    join(other, maker.user, maker.username, "viewer")
    session, _ = open_session(other, maker.user)
    assert admin.call("DELETE", f"/members/{maker.user}").status == 200
    answer = tenant.api.call("POST", PATH, {"invitation": secret}, credential=session)
    refused(answer, 410, "invitation_revoked")


@pytest.mark.parametrize("at_once", [False, True])
def test_an_organization_that_is_being_deleted_gets_no_member(
    tenant: Tenant, admin: Person, username: str, *, at_once: bool
) -> None:
    invitation, secret = invite(admin)

    def close() -> None:
        item = OrganizationItem
        item(tenant.organization, "organization").update([item.status.set("deleting")])

    if at_once:
        answer, _ = between(close, tenant, secret, username)
    else:
        close()
        answer = accept(tenant.api, secret, username)
    refused(answer, 403, "organization_closed")
    assert PersonItem.read(f"username#{username}", "username") is None
    row = PersonItem.read(tenant.organization, f"invitation#{invitation}")
    assert row is not None
    assert row.status == "active"


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_an_invitation_to_a_project_that_is_no_more_admits_nobody_and_is_not_spent(
    tenant: Tenant, admin: Person, username: str, *, at_once: bool, gone: bool
) -> None:
    invitation, secret = invite(admin, role="viewer", projects={tenant.project: "operator"})
    item = OrganizationItem
    row = item(tenant.organization, f"project#{tenant.project}")

    def end() -> None:
        if gone:
            row.delete()
        else:
            row.update([item.status.set("deleting")])

    if at_once:
        answer, _ = between(end, tenant, secret, username)
    else:
        end()
        answer = accept(tenant.api, secret, username)
    refused(answer, 410, "invitation_project_gone")
    assert PersonItem.read(f"username#{username}", "username") is None
    assert status_of(admin, invitation) == "pending"


def test_somebody_who_is_logged_in_is_refused_such_an_invitation_too(
    tenant: Tenant, admin: Person
) -> None:
    invitation, secret = invite(admin, projects={tenant.project: "operator"})
    other = tenant.api.new_tenant()
    guest = person(other, "viewer")
    item = OrganizationItem
    item(tenant.organization, f"project#{tenant.project}").update([item.status.set("deleting")])
    session, _ = open_session(other, guest.user)
    answer = tenant.api.call("POST", PATH, {"invitation": secret}, credential=session)
    refused(answer, 410, "invitation_project_gone")
    assert OrganizationItem.read(tenant.organization, f"member#{guest.user}") is None
    assert status_of(admin, invitation) == "pending"
