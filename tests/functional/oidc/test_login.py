"""Logging in through a real provider: who is let in, and as whom."""

import itertools
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.store import identity_providers, organizations, people
from tests.functional.api import Api, Tenant
from tests.functional.canaries import MARK
from tests.functional.oidc.provider import REDIRECT_URI, Provider
from tests.functional.oidc.sign_on import (
    LOGIN_COOKIE,
    SESSION_COOKIE,
    Browser,
    Organization,
)
from tests.functional.people import person

_numbers = itertools.count(1)


def somebody(idp: Provider, *groups: str, **claims: object) -> str:
    return idp.account(f"subject-{next(_numbers)}", groups=list(groups), **claims)


def test_the_browser_is_sent_with_pkce_state_and_nonce(organization: Organization) -> None:
    browser = Browser()
    url = browser.begin(organization.id)
    assert url.startswith(organization.idp.issuer)
    query = {name: values for name, (values,) in parse_qs(urlsplit(url).query).items()}
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == REDIRECT_URI.format(organization_id=organization.id)
    assert "openid" in query["scope"].split()
    assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert "code_verifier" not in query
    again = parse_qs(urlsplit(browser.begin(organization.id)).query)
    for name in ("state", "nonce", "code_challenge"):
        assert again[name] != [query[name]]


def test_the_cookie_is_only_for_this_host_and_says_nothing(organization: Organization) -> None:
    browser = Browser()
    url = browser.begin(organization.id)
    (line,) = browser.set_cookies
    name, _, rest = line.partition("=")
    assert name == LOGIN_COOKIE
    for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600"):
        assert f"; {attribute}" in rest
    assert "Domain" not in rest
    state = parse_qs(urlsplit(url).query)["state"][0]
    assert state not in line
    assert organization.id not in line


@pytest.mark.parametrize(
    "client", ["basic", "post", "public", "signs-PS256", "signs-ES256", "signs-EdDSA"]
)
def test_a_person_is_let_in_by_each_kind_of_client_and_signature(
    organization: Organization, idp: Provider, client: str
) -> None:
    secret = {} if client in {"basic", "post"} else {"client_secret": None}
    organization.configure(client_id=client, **secret)
    visitor = organization.session(somebody(idp, "ops", name="Olga Operator"))
    assert visitor.body["organization"] == organization.id
    assert visitor.call("GET", "/agents").status == 200
    row = people.find_user(visitor.user)
    assert row is not None
    assert row.display_name == "Olga Operator"
    assert row.username is None
    assert row.home == organization.id


def test_the_session_is_a_cookie_and_the_logins_cookie_is_gone(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    answer = organization.log_in(somebody(idp, "all"), browser)
    assert answer.status == 200, answer.body
    assert LOGIN_COOKIE not in browser.cookies
    (line,) = (line for line in browser.set_cookies if line.startswith(SESSION_COOKIE))
    for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=86400"):
        assert f"; {attribute}" in line
    assert browser.cookies[SESSION_COOKIE] not in str(answer.body)
    assert browser.get("/api/v1/agents").status == 200


def test_who_came_through_the_provider_has_no_password_to_change(
    organization: Organization, idp: Provider
) -> None:
    visitor = organization.session(somebody(idp, "ops"))
    body = {"current_password": f"{MARK} none", "new_password": f"{MARK} of a new kind"}
    answer = visitor.call("POST", "/me/password", body)
    assert (answer.status, answer.code) == (409, "no_password")
    assert people.PersonItem.get(visitor.user, "user").password_hash is None
    assert visitor.call("GET", "/me").status == 200


def test_the_same_person_is_found_again(organization: Organization, idp: Provider) -> None:
    subject = somebody(idp, "ops")
    first, second = organization.session(subject), organization.session(subject)
    assert first.user == second.user
    assert first.body["session_id"] != second.body["session_id"]
    events = [record["event"] for record in organization.tenant.audit("user", first.user)]
    assert sorted(events) == [
        "member.added", "user.logged_in", "user.logged_in", "user.provisioned",
    ]  # fmt: skip


def test_an_email_that_is_somebodys_user_name_gives_nobody_that_account(
    organization: Organization, idp: Provider
) -> None:
    victim = person(organization.tenant, "org_admin")
    subject = somebody(
        idp,
        "all",
        email=victim.username,
        email_verified=True,
        preferred_username=victim.username,
        name=victim.username,
    )
    visitor = organization.session(subject)
    assert visitor.user != victim.user
    assert visitor.call("GET", organization.path).code == "permission_missing"


def test_a_subject_that_is_somebodys_identifier_gives_nobody_that_account(
    organization: Organization, idp: Provider
) -> None:
    victim = person(organization.tenant, "org_admin")
    visitor = organization.session(idp.account(victim.user, groups=["all"]))
    assert visitor.user != victim.user


def test_two_organizations_with_one_provider_have_two_identities(
    organization: Organization, idp: Provider, sign_on: Api
) -> None:
    other_tenant = sign_on.new_tenant()
    other = Organization(other_tenant, person(other_tenant, "org_admin"), idp)
    other.configure(group_roles={"ops": "viewer"})
    subject = somebody(idp, "ops")
    here, there = organization.session(subject), other.session(subject)
    assert here.user != there.user
    assert here.call("GET", other.path).status in {403, 404}
    assert here.body["organization"] != there.body["organization"]


# -------------------------------------------------------------------------- where nothing begins


def test_where_there_is_no_provider_nothing_begins(
    organization: Organization, tenant: Tenant, sign_on: Api
) -> None:
    unknown = sign_on.call("GET", "/api/v1/auth/oidc/org_00000000000000000000/start")
    without = sign_on.new_tenant().organization
    answers = [unknown, sign_on.call("GET", f"/api/v1/auth/oidc/{without}/start")]
    organization.configure(status="disabled")
    answers.append(sign_on.call("GET", f"/api/v1/auth/oidc/{tenant.organization}/start"))
    for answer in answers:
        assert (answer.status, answer.code) == (404, "identity_provider_not_found")
        assert answer.body["detail"] == unknown.body["detail"]


def test_a_provider_that_is_disabled_meanwhile_ends_the_login(
    organization: Organization, idp: Provider
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), somebody(idp, "ops"))
    organization.configure(status="disabled")
    assert browser.come_back(**back).code == "identity_provider_not_found"


def test_beginning_writes_nothing_once_the_provider_is_known(organization: Organization) -> None:
    Browser().begin(organization.id)
    before = _rows()
    for _ in range(5):
        Browser().begin(organization.id)
    assert _rows() == before


def _rows() -> int:
    models = (organizations.OrganizationItem, people.PersonItem)
    return sum(1 for model in models for _ in model.scan())


def test_the_table_of_identities_is_keyed_by_all_three(
    organization: Organization, idp: Provider
) -> None:
    subject = somebody(idp, "ops")
    visitor = organization.session(subject)
    find = identity_providers.find_person
    assert find(organization.id, idp.issuer, subject) == visitor.user
    assert find(organization.id, idp.issuer + "/", subject) is None
    assert find(organization.id, idp.issuer, subject + "x") is None
    assert find("org_00000000000000000000", idp.issuer, subject) is None
