"""Logging in through a real provider: what does not end with a session."""

import itertools
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.oidc.provider import REDIRECT_URI, Provider
from tests.functional.oidc.sign_on import (
    BEGIN,
    LOGIN_COOKIE,
    SESSION_COOKIE,
    Browser,
    Organization,
    with_query,
)
from tests.functional.people import person

_numbers = itertools.count(1)


def somebody(idp: Provider, *groups: str, **claims: object) -> str:
    return idp.account(f"refused-{next(_numbers)}", groups=list(groups), **claims)


def test_another_state_is_refused(organization: Organization, idp: Provider) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    answer = browser.come_back(**{**back, "state": back["state"][:-1] + "x"})
    assert (answer.status, answer.code) == (401, "login_state_invalid")


def test_the_answer_is_worth_nothing_in_another_browser(
    organization: Organization, idp: Provider
) -> None:
    back = idp.log_in(Browser().begin(organization.id), somebody(idp, "ops"))
    assert Browser().come_back(organization.id, **back).code == "login_state_invalid"
    other = Browser()
    other.begin(organization.id)
    assert other.come_back(**back).code == "login_state_invalid"


def test_a_cookie_that_was_changed_is_refused(organization: Organization, idp: Provider) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    sealed = browser.cookies[LOGIN_COOKIE]
    for changed in (sealed[:-4] + "AAAA", sealed[:40] + "B" + sealed[41:], "", "junk", "s1.k.AA"):
        browser.cookies[LOGIN_COOKIE] = changed
        answer = browser.come_back(**back)
        assert (answer.status, answer.code) == (401, "login_state_invalid")


def test_a_replayed_answer_opens_no_second_session(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    kept = dict(browser.cookies)
    first = browser.come_back(**back)
    assert first.status == 200
    # The browser has dropped the cookie; whoever copied it gets no further than the state, which is
    # taken once.
    assert browser.come_back(**back).code == "login_state_invalid"
    thief = Browser(kept)
    answer = thief.come_back(organization.id, **back)
    assert (answer.status, answer.code) == (401, "login_state_invalid")
    assert SESSION_COOKIE not in thief.cookies


def test_a_login_that_took_too_long_is_refused(
    organization: Organization, idp: Provider, clock: FrozenClock
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    clock.advance(seconds=600)
    answer = browser.come_back(**back)
    assert (answer.status, answer.code) == (401, "login_state_expired")


def test_a_token_with_another_nonce_is_refused(organization: Organization, idp: Provider) -> None:
    browser = Browser()
    url = with_query(browser.begin(organization.id), nonce="n" * 43)
    answer = browser.come_back(**idp.log_in(url, somebody(idp, "ops")))
    assert (answer.status, answer.code) == (401, "login_failed")


def test_a_code_for_another_verifier_is_refused(organization: Organization, idp: Provider) -> None:
    browser = Browser()
    url = with_query(browser.begin(organization.id), code_challenge="c" * 43)
    answer = browser.come_back(**idp.log_in(url, somebody(idp, "ops")))
    assert (answer.status, answer.code) == (401, "login_failed")


def test_a_token_signed_with_the_clients_secret_is_refused(
    organization: Organization, idp: Provider
) -> None:
    organization.configure(client_id="signs-HS256")
    answer = organization.log_in(somebody(idp, "admins"))
    assert (answer.status, answer.code) == (401, "login_failed")


def test_a_wrong_client_secret_is_refused(organization: Organization, idp: Provider) -> None:
    organization.configure(client_secret="another")
    answer = organization.log_in(somebody(idp, "ops"))
    assert (answer.status, answer.code) == (401, "login_failed")


@pytest.mark.parametrize("said", [None, "https://other.example"])
def test_an_answer_that_does_not_name_this_provider_is_refused(
    organization: Organization, idp: Provider, said: str | None
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    assert back.pop("iss") == idp.issuer
    answer = browser.come_back(**back, **({"iss": said} if said else {}))
    assert (answer.status, answer.code) == (401, "login_failed")


def test_a_refusal_by_the_provider_is_one(organization: Organization, idp: Provider) -> None:
    browser = Browser()
    url = browser.begin(organization.id)
    state = parse_qs(urlsplit(url).query)["state"][0]
    answer = browser.come_back(
        error="access_denied", error_description="<b>no</b>", state=state, iss=idp.issuer
    )
    assert (answer.status, answer.code) == (401, "login_failed")
    assert "<b>" not in str(answer.body)
    forged = browser.come_back(error="access_denied", state="x")
    assert forged.code == "login_state_invalid"


def test_a_login_begun_with_another_provider_does_not_end_with_this_one(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    organization.configure(client_id="public", client_secret=None)
    assert browser.come_back(**back).code == "login_state_invalid"


def test_an_answer_that_arrives_at_another_organizations_address_is_refused(
    organization: Organization, idp: Provider
) -> None:
    # A mix-up: an organization's provider sends the browser on to another organization's, to be
    # given the code that comes back. That comes back at the other organization's address.
    other_tenant = organization.tenant.api.new_tenant()
    other = Organization(other_tenant, person(other_tenant, "org_admin"), idp)
    other.configure()
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    kept = dict(browser.cookies)
    answer = browser.come_back(other.id, **back)
    assert (answer.status, answer.code) == (401, "login_state_invalid")
    assert SESSION_COOKIE not in browser.cookies
    assert Browser(kept).come_back(organization.id, **back).status == 200


def test_the_provider_refuses_a_code_at_another_address(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    url = browser.begin(organization.id)
    elsewhere = REDIRECT_URI.format(organization_id="org_00000000000000000000")
    back = idp.log_in(with_query(url, redirect_uri=elsewhere), somebody(idp, "ops"))
    answer = browser.come_back(**back)
    assert (answer.status, answer.code) == (401, "login_failed")


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), ("same-origin", 302), ("none", 302)],
)
def test_another_sites_page_cannot_begin_a_login(
    organization: Organization, site: str, status: int
) -> None:
    # Its provider may vouch for whom it likes: the browser would be somebody else's from then on.
    answer = Browser(headers={"sec-fetch-site": site}).get(BEGIN, organization_id=organization.id)
    assert answer.status == status
    assert status == 302 or answer.code == "cross_site_request"


@pytest.mark.parametrize(
    "query", ["code=a&code=b", "state=a&state=b", f"code={'c' * 2049}", "code=%C3%A9", "code=%0A"]
)
def test_a_parameter_that_no_provider_sends_is_refused(tenant: Tenant, query: str) -> None:
    path = f"/api/v1/auth/oidc/{tenant.organization}/callback"
    answer = tenant.api.call("GET", f"{path}?{query}")
    assert (answer.status, answer.code) == (400, "query_invalid")


def test_parameters_that_nobody_reads_do_not_stop_a_login(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    assert browser.come_back(**back, session_state="x", hd="example.org").status == 200
