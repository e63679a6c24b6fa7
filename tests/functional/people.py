"""People of a tenant, made by the store: a test of what they may do needs no login."""

from dataclasses import dataclass, field
from typing import Any

from chalicelib import ids
from chalicelib.credentials import person as credentials
from chalicelib.credentials.opaque import OpaqueFamily
from chalicelib.credentials.outcome import Verified
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import USER, PersonItem
from tests.functional.api import Answer, Tenant

LIFE_MS = credentials.SESSION_LIFE_MS


@dataclass
class Person:
    """A member of a tenant with a session and the means to call."""

    tenant: Tenant
    user: str
    username: str
    session: str = field(repr=False)
    session_id: str = ""

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request with the session."""
        return self.tenant.api.call(method, f"/api/v1{path}", body, credential=self.session, **more)


def person(
    tenant: Tenant, role: str | None = None, *, projects: dict[str, str] | None = None
) -> Person:
    """A new person who belongs to a tenant, logged in."""
    user = ids.new(ids.USER)
    username = f"person-{ids.body(user)}"
    now = tenant.api.clock.now
    PersonItem(
        user, USER, username=username, home=tenant.organization, created_at=now, valid_from=0
    ).save()
    PersonItem(f"username#{username}", "username", user=user, created_at=now).save()
    join(tenant, user, username, role, projects=projects)
    raw, session = open_session(tenant, user)
    return Person(tenant, user, username, raw, session)


def join(
    tenant: Tenant,
    user: str,
    username: str,
    role: str | None,
    *,
    projects: dict[str, str] | None = None,
) -> None:
    """Make a person a member of a tenant."""
    now = tenant.api.clock.now
    organization = tenant.organization
    OrganizationItem(
        organization,
        f"member#{user}",
        user=user,
        username=username,
        role=role,
        projects=projects or {},
        created_at=now,
        revision=1,
    ).save()
    PersonItem(
        user,
        f"organization#{organization}",
        organization=organization,
        role=role,
        projects=projects or {},
        created_at=now,
    ).save()
    if role == "org_admin":
        OrganizationItem(organization, "organization").update(
            actions=[OrganizationItem.admins.add(1)]
        )


def open_session(tenant: Tenant, user: str, *, life_ms: int = LIFE_MS) -> tuple[str, str]:
    """A session of a person: its raw secret and its identifier."""
    raw, digest, session = _secret(credentials.SESSION, tenant.organization, user, "session")
    _put(tenant, user, f"session#{session}", digest, life_ms)
    return raw, session


def personal_token(
    tenant: Tenant, user: str, scopes: set[str], *, life_ms: int = LIFE_MS
) -> tuple[str, str]:
    """A personal API token: its raw secret and its identifier."""
    raw, digest, token = _secret(credentials.PERSONAL_TOKEN, tenant.organization, user, "token")
    _put(tenant, user, f"token#{token}", digest, life_ms, scopes=sorted(scopes), name="test")
    return raw, token


def _secret(
    family: OpaqueFamily, organization: str, user: str, kind: str
) -> tuple[str, bytes, str]:
    raw = family.issue(organization, user)
    outcome = family.read(raw)
    assert isinstance(outcome, Verified)
    name = credentials.session_id if kind == "session" else credentials.personal_token_id
    return raw, outcome.claims.digest, name(outcome.claims)


def _put(tenant: Tenant, user: str, item: str, digest: bytes, life_ms: int, **more: Any) -> None:
    now = tenant.api.clock.now
    PersonItem(
        user,
        item,
        organization=tenant.organization,
        digest=digest,
        created_at=now,
        expires_at=now + life_ms,
        **more,
    ).save()
