"""A person's own sessions: listed, ended, switched; each end counts on the very next request."""

import msgspec
import pytest

from chalicelib import runtime
from chalicelib.errors import Unauthenticated
from chalicelib.evidence.record import Origin
from chalicelib.flows import my_sessions
from tests.functional.api import Api, Tenant
from tests.functional.gateway import RawAnswer, problem
from tests.functional.logins import (
    SITE,
    account,
    at_once,
    attempt,
    by_cookie,
    call,
    cookie_of,
    ended,
    forget_attempts,
    id_of,
    session_of,
)

LOGOUT, SWITCH = "/api/v1/auth/logout", "/api/v1/auth/switch"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def test_who_logs_out_is_refused_on_the_next_request(tenant: Tenant) -> None:
    who = account(tenant)
    session, other = session_of(who), session_of(who)
    done = call(tenant, session, "POST", "/auth/logout")
    assert done.status == 200
    ended(call(tenant, session, "GET", "/me"))
    assert call(tenant, other, "GET", "/me").status == 200
    (record,) = tenant.audit("session", done.body["session_id"])
    assert (record["event"], record["actor"]["id"]) == ("user.logged_out", who.user)


def test_a_browser_that_logs_out_loses_its_cookie(tenant: Tenant) -> None:
    session = cookie_of(attempt(account(tenant).username))
    done = by_cookie("POST", LOGOUT, session, origin=SITE)
    assert done.status == 200
    assert cookie_of(done) == ""
    assert "Max-Age=0" in done.headers["set-cookie"]
    problem(by_cookie("GET", "/api/v1/me", session), 401, "credential_revoked")


WRITES: dict[str, tuple[str, str, dict[str, object] | None]] = {
    "log out": ("POST", LOGOUT, None),
    "switch": ("POST", SWITCH, {"organization": "org_" + "0" * 20}),
    "change the name": ("PATCH", "/api/v1/me", {"display_name": "Mallory"}),
    "make a token": (
        "POST",
        "/api/v1/me/tokens",
        {"name": "x", "scopes": ["agents:read"], "ttl_seconds": 60},
    ),
    "log out everywhere": ("POST", "/api/v1/me/sessions/revoke", {}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": "https://other.example"},
        {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
    ],
    ids=str,
)
def test_another_sites_page_writes_nothing_with_the_cookie(
    tenant: Tenant, write: tuple[str, str, dict[str, object] | None], headers: dict[str, str]
) -> None:
    session = cookie_of(attempt(account(tenant).username))
    method, path, body = write
    problem(by_cookie(method, path, session, body, **headers), 403, "cross_site_request")
    shown = by_cookie("GET", "/api/v1/me", session)
    assert (shown.status, shown.body["display_name"]) == (200, None)


def test_our_own_page_and_a_script_with_a_cookie_jar_may_write(tenant: Tenant) -> None:
    session = cookie_of(attempt(account(tenant).username))
    body = {"display_name": "Ada"}
    for headers in ({"origin": SITE, "sec_fetch_site": "same-origin"}, {}):
        assert by_cookie("PATCH", "/api/v1/me", session, body, **headers).status == 200


def test_the_list_shows_the_live_sessions_without_their_secrets(tenant: Tenant) -> None:
    who = account(tenant)
    agent = "curl/8.5 " + "x" * 300 + "\u2028\x85"
    first = attempt(who.username, cookie=False, headers={"user-agent": agent}).body["session"]
    tenant.api.clock.advance(seconds=5)
    second = session_of(who, source="198.51.100.9")
    listed = call(tenant, second, "GET", "/me/sessions")
    assert listed.status == 200
    assert listed.body["next_cursor"] is None
    shown = {one["session_id"]: one for one in listed.body["sessions"]}
    old, new = shown[id_of(tenant, first)], shown[id_of(tenant, second)]
    assert (old["current"], new["current"]) == (False, True)
    assert old["user_agent"] == agent[:256]
    assert new["source_address"] == "198.51.100.9"
    assert old["created_at"] < new["created_at"] < new["expires_at"]
    assert new["organization"] == tenant.organization
    assert {"digest", "as_of"}.isdisjoint(new)
    call(tenant, first, "POST", "/auth/logout")
    assert len(call(tenant, second, "GET", "/me/sessions").body["sessions"]) == 1


def test_the_list_has_pages(tenant: Tenant) -> None:
    who = account(tenant)
    sessions = [session_of(who) for _ in range(5)]
    found: list[str] = []
    path = "/me/sessions?limit=2"
    for _ in range(4):
        page = call(tenant, sessions[0], "GET", path).body
        found += [one["session_id"] for one in page["sessions"]]
        if page["next_cursor"] is None:
            break
        path = f"/me/sessions?limit=2&cursor={page['next_cursor']}"
    assert sorted(found) == sorted(id_of(tenant, one) for one in sessions)


def test_a_session_that_is_ended_by_name_is_refused_on_the_next_request(tenant: Tenant) -> None:
    who = account(tenant)
    mine, lost = session_of(who), session_of(who)
    name = id_of(tenant, lost)
    for _ in range(2):
        done = call(tenant, mine, "DELETE", f"/me/sessions/{name}")
        assert (done.status, done.body["status"], done.body["current"]) == (200, "revoked", False)
    ended(call(tenant, lost, "GET", "/me"))
    (record,) = tenant.audit("session", name)
    assert record["event"] == "session.revoked"


def test_who_ends_the_session_in_use_by_name_loses_the_cookie(tenant: Tenant) -> None:
    answer = attempt(account(tenant).username)
    path = f"/api/v1/me/sessions/{answer.body['session_id']}"
    done = by_cookie("DELETE", path, cookie_of(answer))
    assert (done.status, cookie_of(done)) == (200, "")


def test_somebody_elses_session_is_one_that_does_not_exist(tenant: Tenant) -> None:
    mine, theirs = session_of(account(tenant)), session_of(account(tenant))
    found = call(tenant, mine, "DELETE", f"/me/sessions/{id_of(tenant, theirs)}")
    assert (found.status, found.code) == (404, "session_not_found")
    assert call(tenant, theirs, "GET", "/me").status == 200


def test_who_logs_out_everywhere_is_refused_everywhere_on_the_next_request(tenant: Tenant) -> None:
    who = account(tenant)
    sessions = [session_of(who) for _ in range(3)]
    assert call(tenant, sessions[0], "POST", "/me/sessions/revoke", {}).status == 200
    for session in sessions:
        ended(call(tenant, session, "GET", "/me"))
    assert call(tenant, session_of(who), "GET", "/me").status == 200
    events = [one["event"] for one in tenant.audit("user", who.user)]
    assert events.count("user.logged_out") == 1


def test_who_logs_out_everywhere_else_goes_on(tenant: Tenant) -> None:
    who = account(tenant)
    mine, other = session_of(who), session_of(who)
    done = call(tenant, mine, "POST", "/me/sessions/revoke", {"keep_current": True})
    assert (done.status, done.body["kept_session_id"]) == (200, id_of(tenant, mine))
    ended(call(tenant, other, "GET", "/me"))
    # Twice: what was spared once is spared again.
    again = {"keep_current": True}
    assert call(tenant, mine, "POST", "/me/sessions/revoke", again).status == 200
    (shown,) = call(tenant, mine, "GET", "/me/sessions").body["sessions"]
    assert shown["created_at"] == "2026-05-28T20:26:40.000Z"


def test_logging_out_everywhere_reaches_sessions_of_a_worker_whose_clock_is_ahead(
    tenant: Tenant,
) -> None:
    who = account(tenant)
    mine = session_of(who)
    tenant.api.clock.advance(seconds=1.9)
    ahead = session_of(who)
    tenant.api.clock.advance(seconds=-1.9)
    assert call(tenant, mine, "POST", "/me/sessions/revoke", {}).status == 200
    ended(call(tenant, ahead, "GET", "/me"))
    # And a login at that very moment is not taken for an older one.
    assert call(tenant, session_of(who), "GET", "/me").status == 200


def test_of_many_who_log_out_everywhere_else_at_once_one_goes_on(tenant: Tenant) -> None:
    who = account(tenant)
    sessions = [session_of(who) for _ in range(4)]
    patience = runtime.current().patience
    names = [id_of(tenant, one) for one in sessions]

    def keep(origin: Origin, number: int) -> None:
        own = msgspec.structs.replace(origin, credential=names[number % 4])
        my_sessions.log_out_everywhere(patience, own, keep_current=True)

    assert "done" in at_once(tenant, sessions[0], keep)
    alive = [call(tenant, one, "GET", "/me").status for one in sessions]
    assert sorted(alive) == [200, 401, 401, 401]


def test_a_session_that_ended_does_not_come_back_by_being_kept(tenant: Tenant) -> None:
    who = account(tenant)
    mine, other = session_of(who), session_of(who)
    names = [id_of(tenant, one) for one in (mine, other)]
    kept = {"keep_current": True}
    assert call(tenant, mine, "POST", "/me/sessions/revoke", kept).status == 200
    # As a request that was let in just before would ask.
    now = tenant.api.clock.now
    late = Origin(tenant.organization, "user", who.user, "r-1", None, now, names[1])
    with pytest.raises(Unauthenticated):
        my_sessions.log_out_everywhere(runtime.current().patience, late, keep_current=True)
    ended(call(tenant, other, "GET", "/me"))
    assert call(tenant, mine, "GET", "/me").status == 200


def test_the_cookie_of_two_is_believed_by_nobody(tenant: Tenant) -> None:
    session = cookie_of(attempt(account(tenant).username))
    answer: RawAnswer = by_cookie("GET", "/api/v1/me", f"{session}; __Host-rollcall_session=x")
    problem(answer, 401, "credential_missing")
