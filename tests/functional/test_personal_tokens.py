"""Personal API tokens: a person's scripts, with scopes and an end."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib import runtime
from chalicelib.errors import DomainError
from chalicelib.evidence.record import Origin
from chalicelib.flows import personal_tokens
from chalicelib.flows.personal_tokens import MOST_LIVE, MintPersonalTokenRequest
from tests.functional.api import Answer, Tenant
from tests.functional.logins import call
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.people import Person, join, open_session, person, personal_token


@pytest.fixture
def me(tenant: Tenant) -> Person:
    return person(tenant, "operator")


def mint(me: Person, *scopes: str, seconds: int = 3600) -> Answer:
    body = {"name": "script", "scopes": list(scopes or ["agents:read"]), "ttl_seconds": seconds}
    return me.call("POST", "/me/tokens", body)


def tokens_of(tenant: Tenant, me: Person, count: int, **more: int) -> None:
    for _ in range(count):
        personal_token(tenant, me.user, {"agents:read"}, **more)


def test_a_token_may_what_its_scopes_say_and_its_person_may(tenant: Tenant, me: Person) -> None:
    made = mint(me, "agents:read", "organization:write")
    assert made.status == 201
    token = made.body["token"]
    assert token.startswith("rcp_")
    assert call(tenant, token, "GET", "/agents").status == 200
    refused = call(tenant, token, "GET", "/agent-enrollment/tokens")
    assert (refused.status, refused.code) == (403, "scope_missing")
    shown = call(tenant, token, "GET", "/me").body
    assert (shown["user_id"], shown["credential"]) == (me.user, made.body["personal_token_id"])
    assert shown["scopes"] == ["agents:read", "organization:write"]


def test_a_token_is_no_session(tenant: Tenant, me: Person) -> None:
    token = mint(me).body["token"]
    for method, path in (("GET", "/me/sessions"), ("GET", "/me/tokens"), ("PATCH", "/me")):
        refused = call(tenant, token, method, path)
        assert (refused.status, refused.code) == (401, "wrong_credential_family")


def test_the_list_shows_tokens_without_their_secrets(me: Person) -> None:
    made = mint(me).body
    listed = me.call("GET", "/me/tokens")
    (shown,) = listed.body["personal_tokens"]
    assert shown == {name: value for name, value in made.items() if name != "token"}
    assert made["token"] not in str(listed.body)


def test_a_revoked_token_is_refused_on_the_next_request(tenant: Tenant, me: Person) -> None:
    made = mint(me).body
    name = made["personal_token_id"]
    tenant.api.clock.advance(seconds=1)
    for _ in range(2):
        done = me.call("DELETE", f"/me/tokens/{name}")
        assert (done.status, done.body["status"]) == (200, "revoked")
    refused = call(tenant, made["token"], "GET", "/agents")
    assert (refused.status, refused.code) == (401, "credential_revoked")
    events = [one["event"] for one in tenant.audit("personal_token", name)]
    assert events == ["personal_token.created", "personal_token.revoked"]


def test_a_token_ends_when_it_was_said(tenant: Tenant, me: Person) -> None:
    made = mint(me, seconds=60).body
    tenant.api.clock.advance(seconds=60)
    refused = call(tenant, made["token"], "GET", "/agents")
    assert (refused.status, refused.code) == (401, "credential_expired")
    (shown,) = me.call("GET", "/me/tokens").body["personal_tokens"]
    assert shown["status"] == "expired"


def test_logging_out_everywhere_leaves_tokens_which_end_one_by_one(
    tenant: Tenant, me: Person
) -> None:
    token = mint(me).body["token"]
    assert me.call("POST", "/me/sessions/revoke", {}).status == 200
    assert call(tenant, token, "GET", "/agents").status == 200


def test_somebody_elses_token_is_one_that_does_not_exist(tenant: Tenant, me: Person) -> None:
    name = mint(me).body["personal_token_id"]
    found = person(tenant, "org_admin").call("DELETE", f"/me/tokens/{name}")
    assert (found.status, found.code) == (404, "personal_token_not_found")


def test_a_token_of_another_organization_is_ended_in_that_ones_evidence(
    tenant: Tenant, other_tenant: Tenant, me: Person
) -> None:
    name = mint(me).body["personal_token_id"]
    tenant.api.clock.advance(seconds=1)
    join(other_tenant, me.user, me.username, "viewer")
    there, _ = open_session(other_tenant, me.user)
    assert call(other_tenant, there, "DELETE", f"/me/tokens/{name}").status == 200
    assert [one["event"] for one in tenant.audit("personal_token", name)][-1] == (
        "personal_token.revoked"
    )
    assert other_tenant.audit("personal_token", name) == []


def test_a_person_has_so_many_live_tokens_and_no_more(tenant: Tenant, me: Person) -> None:
    tokens_of(tenant, me, MOST_LIVE - 1, life_ms=60_000)
    last = mint(me).body["personal_token_id"]
    refused = mint(me)
    assert (refused.status, refused.code) == (409, "too_many_personal_tokens")
    assert me.call("DELETE", f"/me/tokens/{last}").status == 200
    assert mint(me).status == 201
    assert mint(me).status == 409
    tenant.api.clock.advance(seconds=60)
    assert mint(me).status == 201


def test_of_many_at_once_no_more_are_made_than_there_is_room_for(
    tenant: Tenant, me: Person
) -> None:
    tokens_of(tenant, me, MOST_LIVE - 2)
    origin = Origin(
        tenant.organization, "user", me.user, "r", None, tenant.api.clock.now, me.session_id
    )
    wanted = MintPersonalTokenRequest(name="x", scopes=["agents:read"], ttl_seconds=60)

    def one(_: int) -> str:
        try:
            personal_tokens.mint(runtime.current().patience, origin, wanted)
        except DomainError as error:
            return error.code
        return "made"

    with one_at_a_time(), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert found.count("made") == 2
    assert set(found) <= {"made", "too_many_personal_tokens", "contention"}


def test_the_list_has_pages(me: Person) -> None:
    made = {mint(me).body["personal_token_id"] for _ in range(5)}
    first = me.call("GET", "/me/tokens?limit=3").body
    path = f"/me/tokens?limit=3&cursor={first['next_cursor']}"
    second = me.call("GET", path).body
    found = {one["personal_token_id"] for one in first["personal_tokens"]}
    found |= {one["personal_token_id"] for one in second["personal_tokens"]}
    assert (found, second["next_cursor"]) == (made, None)


def test_a_cursor_of_somebody_elses_tokens_is_refused(tenant: Tenant, me: Person) -> None:
    for _ in range(2):
        mint(me)
    cursor = me.call("GET", "/me/tokens?limit=1").body["next_cursor"]
    refused = person(tenant, "viewer").call("GET", f"/me/tokens?limit=1&cursor={cursor}")
    assert (refused.status, refused.code) == (400, "cursor_invalid")


@pytest.mark.parametrize(("scope", "sees"), [("agents:read", False), ("organization:read", True)])
def test_a_token_without_the_scope_names_no_other_organization(
    tenant: Tenant, other_tenant: Tenant, me: Person, scope: str, sees: bool
) -> None:
    join(other_tenant, me.user, me.username, "org_admin", projects={other_tenant.project: "viewer"})
    shown = call(tenant, mint(me, scope).body["token"], "GET", "/me").body
    here = {tenant.organization}
    wanted = here | {other_tenant.organization} if sees else here
    assert {one["organization_id"] for one in shown["organizations"]} == wanted
    assert (other_tenant.project in str(shown)) == sees
    everywhere = {one["organization_id"] for one in me.call("GET", "/me").body["organizations"]}
    assert everywhere == here | {other_tenant.organization}
