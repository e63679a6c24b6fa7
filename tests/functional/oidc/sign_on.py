"""What people do who log in through their organization's provider, and what admins set up."""

import json
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.functional.api import Answer, Tenant
from tests.functional.gateway import Sent
from tests.functional.oidc.provider import SECRET, Provider
from tests.functional.people import Person

BEGIN = "/api/v1/auth/oidc/{organization_id}/start"
CALLBACK = "/api/v1/auth/oidc/{organization_id}/callback"
LOGIN_COOKIE = "__Host-rollcall_oidc"
SESSION_COOKIE = "__Host-rollcall_session"
ROLES = {"admins": "org_admin", "leads": "project_admin", "ops": "operator", "all": "viewer"}


@dataclass
class Browser:
    """Keeps cookies, as a browser does that sees the API under one name."""

    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    organization: str = ""
    source: str = "192.0.2.7"

    def get(self, resource: str, query: dict[str, str] | None = None, **names: str) -> Answer:
        """One navigation."""
        from app import app

        sent = Sent(
            "GET",
            resource,
            names,
            {name: [value] for name, value in (query or {}).items()} or None,
            {"user-agent": "a browser", **self.headers},
            source_address=self.source,
        )
        if self.cookies:
            sent.headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        answered = app(sent.event(), None)
        headers = {name.lower(): value for name, value in answered["headers"].items()}
        several = {name.lower(): v for name, v in (answered["multiValueHeaders"] or {}).items()}
        self.set_cookies = several.get("set-cookie", [])
        if "set-cookie" in headers:
            self.set_cookies.append(headers["set-cookie"])
        for line in self.set_cookies:
            self._keep(line)
        return Answer(answered["statusCode"], headers, _read(answered["body"]))

    def _keep(self, line: str) -> None:
        for name, morsel in SimpleCookie(line).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value

    def begin(self, organization: str) -> str:
        """Begin a login; the address that the browser is sent to."""
        self.organization = organization
        answer = self.get(BEGIN, organization_id=organization)
        assert answer.status == 302, answer.body
        return answer.headers["location"]

    def come_back(self, to: str | None = None, **parameters: str) -> Answer:
        """The provider's answer, carried by the browser to where the last login was begun."""
        return self.get(CALLBACK, parameters, organization_id=to or self.organization)


def _read(body: str) -> Any:
    return json.loads(body) if body else None


@dataclass
class Organization:
    """A tenant with its admin and its provider."""

    tenant: Tenant
    admin: Person
    idp: Provider

    @property
    def id(self) -> str:
        return self.tenant.organization

    @property
    def path(self) -> str:
        return f"/organizations/{self.id}/identity-provider"

    def configure(self, **changed: Any) -> Answer:
        """Set the provider as the admin."""
        wanted = {
            "issuer": self.idp.issuer,
            "client_id": "basic",
            "client_secret": SECRET,
            "scopes": ["openid", "profile", "groups", "email"],
            "group_roles": ROLES,
            **changed,
        }
        answer = self.admin.call("PUT", self.path, wanted)
        assert answer.status == 200, answer.body
        return answer

    def log_in(self, subject: str, browser: Browser | None = None) -> Answer:
        """The whole way: to the provider, through its pages, and back."""
        browser = browser or Browser()
        back = self.idp.log_in(browser.begin(self.id), subject)
        return browser.come_back(**back)

    def session(self, subject: str) -> "Visitor":
        """Log in, and be able to call."""
        browser = Browser()
        answer = self.log_in(subject, browser)
        assert answer.status == 200, answer.body
        return Visitor(self.tenant, browser.cookies[SESSION_COOKIE], answer.body)


@dataclass
class Visitor:
    """Somebody who came through the provider."""

    tenant: Tenant
    secret: str = field(repr=False)
    body: dict[str, Any]

    @property
    def user(self) -> str:
        return str(self.body["user_id"])

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request with the session."""
        return self.tenant.api.call(method, f"/api/v1{path}", body, credential=self.secret)


def with_query(url: str, **parameters: str) -> str:
    """An address with some parameters replaced."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))
