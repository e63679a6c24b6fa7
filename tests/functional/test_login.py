"""Who is let in, what they get, and what nobody learns who is not."""

import json
from collections.abc import Callable

import pytest

from chalicelib import runtime
from chalicelib.credentials import password
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.api import Api, Tenant
from tests.functional.canaries import MARK
from tests.functional.database_requests import database_requests
from tests.functional.gateway import problem
from tests.functional.logins import (
    PASSWORD,
    Meanwhile,
    account,
    attempt,
    call,
    cookie_of,
    counting,
    forget_attempts,
    hashed,
    session_of,
)
from tests.functional.people import join


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def test_the_right_password_gives_a_session_as_a_cookie(tenant: Tenant) -> None:
    who = account(tenant, "viewer")
    answer = attempt(who.username)
    assert answer.status == 200
    assert answer.body == {
        "user_id": who.user,
        "role": "viewer",
        "organization": tenant.organization,
        "organizations": [
            {
                "organization_id": tenant.organization,
                "name": "Test",
                "role": "viewer",
                "projects": {},
            }
        ],
        "session_id": answer.body["session_id"],
        "session_expires_at": "2026-05-29T20:26:40.000Z",
    }
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith("__Host-rollcall_session=rcs_")
    assert set(attributes) == {"HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=86400"}
    assert answer.headers["cache-control"] == "no-store"
    assert cookie_of(answer) not in answer.text
    me = call(tenant, cookie_of(answer), "GET", "/me")
    assert (me.status, me.body["user_id"], me.body["role"]) == (200, who.user, "viewer")
    assert me.body["credential"] == answer.body["session_id"]


def test_a_client_that_is_no_browser_gets_the_session_itself(tenant: Tenant) -> None:
    who = account(tenant)
    answer = attempt(who.username, cookie=False)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert call(tenant, answer.body["session"], "GET", "/me").status == 200


def test_the_name_is_read_without_regard_to_case(tenant: Tenant) -> None:
    who = account(tenant)
    assert attempt(who.username.upper()).status == 200


def test_the_documents_route_gives_the_same_and_says_what_is_wrong_as_message(
    tenant: Tenant,
) -> None:
    who = account(tenant)
    good = attempt(who.username, path="/api/auth/login")
    assert (good.status, good.body["user_id"], good.body["role"]) == (200, who.user, "operator")
    assert call(tenant, cookie_of(good), "GET", "/me").status == 200
    bad = attempt(who.username, f"{MARK} wrong", path="/api/auth/login")
    problem(bad, 401, "login_failed")
    assert bad.body["message"] == bad.body["detail"]
    assert "message" not in attempt(who.username, f"{MARK} wrong").body


def test_a_session_ends_after_24_hours(tenant: Tenant) -> None:
    session = session_of(account(tenant))
    tenant.api.clock.advance(hours=24, seconds=-0.001)
    assert call(tenant, session, "GET", "/me").status == 200
    tenant.api.clock.advance(seconds=0.001)
    refused = call(tenant, session, "GET", "/me")
    assert (refused.status, refused.code) == (401, "credential_expired")


Nobody = Callable[[Tenant], tuple[str, str]]
NOBODY: dict[str, Nobody] = {
    "an unknown name": lambda _: ("nobody-at-all", PASSWORD),
    "a wrong password": lambda tenant: (account(tenant).username, f"{MARK} wrong"),
    "a disabled person": lambda tenant: (account(tenant, status="disabled").username, PASSWORD),
    "a person without membership": lambda tenant: (account(None, home=tenant).username, PASSWORD),
    "a person without a password": lambda tenant: (
        account(tenant, password=None).username,
        PASSWORD,
    ),
}


@pytest.mark.parametrize("nobody", NOBODY.values(), ids=NOBODY.keys())
def test_whoever_is_not_let_in_costs_and_learns_the_same(tenant: Tenant, nobody: Nobody) -> None:
    username, password = nobody(tenant)
    reference = account(tenant)
    with database_requests() as usual:
        expected = attempt(reference.username, f"{MARK} wrong", source="192.0.2.50")
    hasher = counting()
    with database_requests() as seen:
        answer = attempt(username, password, source="192.0.2.51")
    problem(answer, 401, "login_failed")
    assert seen == usual
    assert len(hasher.verified) == 1
    assert hasher.made == 0
    assert "set-cookie" not in answer.headers
    for said in (answer, expected):
        said.body.pop("request_id")
    assert answer.body == expected.body
    assert answer.headers == expected.headers


def test_what_stands_for_nobodys_password_is_as_slow_as_any() -> None:
    parameters = hashed(PASSWORD).rpartition("$m=")[2].partition("$")[0]
    assert f"$m={parameters}$" in password._NOBODY
    assert len(password._NOBODY) == len(hashed(PASSWORD))
    assert not password.Passwords().verify(None, PASSWORD)


def test_a_failed_login_is_told_to_the_organization_that_made_the_account_once_a_minute(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = account(other_tenant, home=tenant)
    for _ in range(2):
        assert attempt(who.username, f"{MARK} wrong").status == 401
    assert attempt(who.username, f"{MARK} wrong", source="192.0.2.8").status == 401
    records = tenant.audit("user", who.user)
    assert [one["event"] for one in records] == ["user.login_failed"] * 2
    assert {one["source_address"] for one in records} == {"192.0.2.7", "192.0.2.8"}
    assert {one["reason"] for one in records} == {"wrong_password"}
    assert {one["actor"]["type"] for one in records} == {"system"}
    assert other_tenant.audit("user", who.user) == []
    tenant.api.clock.advance(seconds=60)
    assert attempt(who.username, f"{MARK} wrong").status == 401
    assert len(tenant.audit("user", who.user)) == 3


def test_what_an_unknown_person_typed_is_kept_nowhere(
    tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tenant
    assert attempt("my.password.typed.as.name").status == 401
    assert "my.password" not in capsys.readouterr().out
    rows = json.dumps([row.to_dynamodb_dict() for row in PersonItem.scan()], default=str)
    assert "my.password" not in rows


def test_a_login_is_evidence_in_the_organization_of_the_session(tenant: Tenant) -> None:
    who = account(tenant)
    answer = attempt(who.username)
    (record,) = tenant.audit("user", who.user)
    assert record["event"] == "user.logged_in"
    assert record["actor"]["id"] == who.user
    assert record["actor"]["credential"] == answer.body["session_id"]
    assert record["detail"]["method"] == "password"
    assert record["source_address"] == "192.0.2.7"


def test_a_person_of_several_organizations_comes_home_or_where_they_say(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = account(tenant, "viewer")
    join(other_tenant, who.user, who.username, "org_admin")
    home = attempt(who.username)
    assert home.body["organization"] == tenant.organization
    assert {one["organization_id"] for one in home.body["organizations"]} == {
        tenant.organization,
        other_tenant.organization,
    }
    there = attempt(who.username, organization=other_tenant.organization)
    assert (there.body["organization"], there.body["role"]) == (
        other_tenant.organization,
        "org_admin",
    )


def test_an_organization_that_is_not_the_persons_is_one_that_does_not_exist(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    who = account(tenant)
    for name in (other_tenant.organization, "org_" + "0" * 20):
        problem(attempt(who.username, organization=name), 404, "organization_not_found")


def test_an_organization_that_is_being_deleted_lets_nobody_in(tenant: Tenant) -> None:
    who = account(tenant)
    OrganizationItem(tenant.organization, "organization").update(
        [OrganizationItem.status.set("deleting")]
    )
    problem(attempt(who.username), 401, "login_failed")


def test_a_password_is_compared_in_its_normal_form_and_not_trimmed(tenant: Tenant) -> None:
    who = account(tenant, password=f"{MARK} caf\u00e9 au lait ")
    assert attempt(who.username, f"{MARK} cafe\u0301\u00a0au\u2003lait ").status == 200
    problem(attempt(who.username, f"{MARK} caf\u00e9 au lait"), 401, "login_failed")
    problem(attempt(who.username, f"{MARK} Caf\u00e9 au lait "), 401, "login_failed")


def test_a_hash_of_older_parameters_is_renewed_at_the_login(tenant: Tenant) -> None:
    from argon2 import PasswordHasher

    who = account(tenant)
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    row = PersonItem(who.user, "user")
    row.update([PersonItem.password_hash.set(old)])
    hasher = counting()
    assert attempt(who.username).status == 200
    renewed = str(PersonItem.get(who.user, "user").password_hash)
    assert "m=19456,t=2,p=1" in renewed
    assert hasher.made == 1
    assert attempt(who.username).status == 200
    assert PersonItem.get(who.user, "user").password_hash == renewed


def another_password(user: str) -> None:
    PersonItem(user, "user").update([PersonItem.password_hash.set(hashed(f"{MARK} another"))])


def disabling(user: str) -> None:
    PersonItem(user, "user").update([PersonItem.status.set("disabled")])


def logging_out_everywhere(user: str) -> None:
    PersonItem(user, "user").update([PersonItem.valid_from.set(1_780_000_000_001)])


@pytest.mark.parametrize("change", [another_password, disabling, logging_out_everywhere])
def test_a_person_who_moves_while_the_password_is_verified_gets_no_session(
    tenant: Tenant, change: Callable[[str], None]
) -> None:
    who = account(tenant)
    runtime.current().passwords = Meanwhile(lambda: change(who.user))
    problem(attempt(who.username), 401, "login_failed")
    assert not list(PersonItem.query(who.user, PersonItem.item.startswith("session#")))


def test_a_person_who_leaves_while_the_password_is_verified_gets_no_session(
    tenant: Tenant,
) -> None:
    who = account(tenant)
    member = OrganizationItem(tenant.organization, f"member#{who.user}")
    runtime.current().passwords = Meanwhile(member.delete)
    problem(attempt(who.username), 401, "login_failed")
    assert not list(PersonItem.query(who.user, PersonItem.item.startswith("session#")))


def test_a_login_whose_answer_is_lost_leaves_a_session_that_nobody_knows(
    tenant: Tenant,
) -> None:
    # It is listed, ends by itself, and can be ended from the next one.
    who = account(tenant)
    assert attempt(who.username).status == 200
    second = session_of(who)
    assert len(call(tenant, second, "GET", "/me/sessions").body["sessions"]) == 2
    assert call(tenant, second, "POST", "/me/sessions/revoke", {"keep_current": True}).status == 200
    assert len(call(tenant, second, "GET", "/me/sessions").body["sessions"]) == 1
