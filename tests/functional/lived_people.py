"""What leaves evidence of people and of the evidence itself, done once."""

from chalicelib import tampering
from chalicelib.evidence.envelope import rfc3339
from tests.functional.api import Tenant
from tests.functional.logins import PASSWORD, account, attempt, call, id_of, session_of
from tests.functional.people import person
from tests.functional.privileges_of_members import members_story


def live(tenant: Tenant) -> None:
    """Log in and out, look after one's account, be refused; and somebody touches the evidence."""
    members_story(person(tenant, "org_admin"))
    _account(tenant)
    denied = person(tenant, "viewer").call("POST", "/projects", {"name": "mine"})
    assert (denied.status, denied.code) == (403, "permission_missing")
    now = tenant.api.clock.now
    wanted = {"since": rfc3339(now - 3_600_000), "until": rfc3339(now)}
    assert tenant.call("POST", "/audit-records/export", wanted).status == 202
    tampering.forged(tenant.organization, 1)


def _account(tenant: Tenant) -> None:
    who = account(tenant)
    assert attempt(who.username, PASSWORD[::-1]).status == 401
    session, other = session_of(who), session_of(who)
    changed = f"{PASSWORD} changed"
    for method, path, body, status in (
        ("PATCH", "/me", {"display_name": "Ada"}, 200),
        ("DELETE", f"/me/sessions/{id_of(tenant, other)}", None, 200),
        ("POST", "/me/password", {"current_password": PASSWORD, "new_password": changed}, 200),
    ):
        answer = call(tenant, session, method, path, body)
        assert answer.status == status, answer.body
    wanted = {"name": "script", "scopes": ["agents:read"], "ttl_seconds": 3600}
    token = call(tenant, session, "POST", "/me/tokens", wanted)
    assert token.status == 201, token.body
    path = f"/me/tokens/{token.body['personal_token_id']}"
    assert call(tenant, session, "DELETE", path).status == 200
    assert call(tenant, session, "POST", "/auth/logout").status == 200
