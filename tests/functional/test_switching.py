"""Going to another organization, and what a person is told and changes about themselves."""

import pytest

from chalicelib import runtime
from chalicelib.evidence.record import Origin
from chalicelib.flows import my_sessions
from chalicelib.flows.sessions import Visit
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Api, Tenant
from tests.functional.logins import (
    SITE,
    Account,
    account,
    at_once,
    attempt,
    by_cookie,
    call,
    cookie_of,
    ended,
    forget_attempts,
    id_of,
    live,
    session_of,
)
from tests.functional.people import join

SWITCH = "/api/v1/auth/switch"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def two_homes(tenant: Tenant, other: Tenant) -> Account:
    who = account(tenant, "viewer")
    join(other, who.user, who.username, "org_admin")
    return who


def test_a_switch_opens_a_session_there_and_ends_the_one_here(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = two_homes(tenant, other_tenant)
    here = session_of(who)
    old = id_of(tenant, here)
    tenant.api.clock.advance(hours=20)
    wanted = {"organization": other_tenant.organization}
    done = call(tenant, here, "POST", "/auth/switch", wanted)
    assert (done.status, done.body["role"]) == (200, "org_admin")
    assert done.body["organization"] == other_tenant.organization
    assert "set-cookie" not in done.headers
    ended(call(tenant, here, "GET", "/me"))
    there = done.body["session"]
    assert call(tenant, there, "GET", "/me").body["organization"] == other_tenant.organization
    assert [one["event"] for one in tenant.audit("session", old)] == ["user.logged_out"]
    (record,) = other_tenant.audit("user", who.user)
    assert (record["event"], record["detail"]["method"]) == ("user.logged_in", "switch")
    # It does not last longer for it.
    tenant.api.clock.advance(hours=4)
    ended(call(tenant, there, "GET", "/me"), "credential_expired")


def test_a_browser_that_switches_gets_a_cookie_and_never_the_session(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = two_homes(tenant, other_tenant)
    session = cookie_of(attempt(who.username))
    body = {"organization": other_tenant.organization}
    done = by_cookie("POST", SWITCH, session, body, origin=SITE)
    assert done.status == 200
    assert cookie_of(done).startswith("rcs_")
    assert "session" not in done.body
    assert by_cookie("GET", "/api/v1/me", cookie_of(done)).status == 200


def test_nobody_switches_to_where_they_do_not_belong(tenant: Tenant, other_tenant: Tenant) -> None:
    session = session_of(account(tenant))
    for name in (other_tenant.organization, "org_" + "0" * 20):
        found = call(tenant, session, "POST", "/auth/switch", {"organization": name})
        assert (found.status, found.code) == (404, "organization_not_found")
    assert call(tenant, session, "GET", "/me").status == 200


def test_of_many_switches_at_once_one_happens(tenant: Tenant, other_tenant: Tenant) -> None:
    who = two_homes(tenant, other_tenant)
    session = session_of(who)
    patience = runtime.current().patience

    def switch(origin: Origin, number: int) -> None:
        visit = Visit(f"r-{number}", None, None, origin.now)
        my_sessions.switch(patience, origin, visit, other_tenant.organization)

    assert at_once(tenant, session, switch) == ["credential_revoked"] * 7 + ["done"]
    (opened,) = live(who.user)
    assert opened.organization == other_tenant.organization


def test_a_person_is_told_who_they_are(tenant: Tenant, other_tenant: Tenant) -> None:
    who = two_homes(tenant, other_tenant)
    session = session_of(who)
    me = call(tenant, session, "GET", "/me").body
    assert me["username"] == who.username
    assert (me["home"], me["organization"]) == (tenant.organization, tenant.organization)
    assert me["scopes"] is None
    roles = {one["organization_id"]: one["role"] for one in me["organizations"]}
    assert roles == {tenant.organization: "viewer", other_tenant.organization: "org_admin"}


def test_a_person_is_called_as_they_like(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    for name in ("Ada", "Ada", None):
        done = call(tenant, session, "PATCH", "/me", {"display_name": name})
        assert (done.status, done.body["display_name"]) == (200, name)
        tenant.api.clock.advance(seconds=1)
    changes = [
        one["detail"] for one in tenant.audit("user", who.user) if one["event"] == "user.updated"
    ]
    assert [one["display_name"] for one in changes] == ["Ada", None]
    refused = call(tenant, session, "PATCH", "/me", {})
    assert (refused.status, refused.code) == (400, "nothing_to_change")


def test_a_session_of_an_organization_that_is_being_deleted_can_leave_it(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = two_homes(tenant, other_tenant)
    session = session_of(who)
    row = OrganizationItem(tenant.organization, "organization")
    row.update([OrganizationItem.status.set("deleting")])
    assert call(tenant, session, "GET", "/me").status == 200
    wanted = {"organization": other_tenant.organization}
    assert call(tenant, session, "POST", "/auth/switch", wanted).status == 200
