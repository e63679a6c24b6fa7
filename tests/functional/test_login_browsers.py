"""Which pages may log a browser in, and what a page never gets."""

import dataclasses

import pytest

from chalicelib import runtime
from tests.functional.api import Api, Tenant
from tests.functional.database_requests import database_requests
from tests.functional.gateway import problem
from tests.functional.logins import LOGIN, account, attempt, forget_attempts


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


BROWSERS: dict[str, dict[str, str]] = {
    "our own page": {"origin": "https://api.example", "sec-fetch-site": "same-origin"},
    "a client that is no browser": {},
    "an address typed by hand": {"sec-fetch-site": "none"},
}
STRANGERS: dict[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a neighbour": {"origin": "https://other.example", "sec-fetch-site": "same-site"},
    "an old browser": {"origin": "https://evil.example"},
    "a sandboxed frame": {"origin": "null"},
    "one who says no origin": {"sec-fetch-site": "cross-site"},
    "our name on another port": {"origin": "https://api.example:8443"},
    "our name without TLS": {"origin": "http://api.example"},
}


@pytest.mark.parametrize("path", [LOGIN, "/api/auth/login"])
@pytest.mark.parametrize("headers", BROWSERS.values(), ids=BROWSERS.keys())
def test_our_pages_and_scripts_may_log_in(
    tenant: Tenant, headers: dict[str, str], path: str
) -> None:
    assert attempt(account(tenant).username, headers=headers, path=path).status == 200


@pytest.mark.parametrize("path", [LOGIN, "/api/auth/login"])
@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS.keys())
def test_another_sites_page_cannot_log_a_browser_in(
    tenant: Tenant, headers: dict[str, str], path: str
) -> None:
    who = account(tenant)
    with database_requests() as seen:
        answer = attempt(who.username, headers=headers, path=path)
    problem(answer, 403, "cross_site_request")
    assert "set-cookie" not in answer.headers
    assert seen == []


@pytest.mark.parametrize(
    "configured",
    ["https://API.Example", "HTTPS://api.example:443/", "https://api.example:443/stage"],
)
def test_our_own_pages_are_known_however_the_base_url_is_written(
    tenant: Tenant, configured: str
) -> None:
    now, who = runtime.current(), account(tenant)
    now.settings = dataclasses.replace(now.settings, public_url=configured)
    assert attempt(who.username, headers=BROWSERS["our own page"]).status == 200
    for headers in ({"origin": "https://api.example:8443"}, {"origin": "http://api.example"}):
        problem(attempt(who.username, headers=headers), 403, "cross_site_request")


def test_a_browsers_page_never_gets_the_session_itself(tenant: Tenant) -> None:
    who = account(tenant)
    for headers in (BROWSERS["our own page"], BROWSERS["an address typed by hand"]):
        problem(attempt(who.username, cookie=False, headers=headers), 403, "cookie_required")
