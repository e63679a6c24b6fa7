"""What org_admins do in a day, so that it can be seen which permissions that needs."""

from chalicelib import ids
from tests.functional.canaries import MARK
from tests.functional.people import Person

_PASSWORD = f"{MARK} that is long enough"


def members_story(admin: Person) -> None:
    """Invite, accept, change, disable, remove; make, use, rotate and end a key."""
    tenant = admin.tenant
    project = tenant.project
    invited = _done(admin, "POST", "/invitations", {"projects": {project: "viewer"}}, 201)
    joined = tenant.api.call(
        "POST",
        "/api/v1/invitations/accept",
        {
            "invitation": invited["invitation"],
            "username": f"new-{ids.body(ids.new(ids.USER))}",
            "password": _PASSWORD,
        },
    )
    assert joined.status == 201, joined.body
    user = joined.body["user_id"]
    member = f"/members/{user}"
    _done(admin, "GET", "/members")
    _done(admin, "GET", member)
    _done(admin, "PATCH", member, {"role": "org_admin"})
    _done(admin, "PUT", f"/projects/{project}/members/{user}", {"role": "operator"})
    _done(admin, "GET", f"/projects/{project}/members")
    _done(admin, "DELETE", f"/projects/{project}/members/{user}")
    _done(admin, "POST", f"{member}/disable")
    _done(admin, "POST", f"{member}/enable")
    _done(admin, "DELETE", member)
    # The account is no member at home any more.
    _done(admin, "POST", f"{member}/disable")
    _done(admin, "GET", "/invitations")
    other = _done(admin, "POST", "/invitations", {"role": "viewer"}, 201)
    _done(admin, "DELETE", f"/invitations/{other['invitation_id']}")
    _keys(admin)


def _keys(admin: Person) -> None:
    body = {"name": "ci", "scopes": ["agents:read"]}
    made = _done(admin, "POST", "/organization-keys", body, 201)
    secret = made["organization_key"]
    assert admin.tenant.api.call("GET", "/api/v1/agents", credential=secret).status == 200
    path = f"/organization-keys/{made['organization_key_id']}"
    _done(admin, "GET", "/organization-keys")
    _done(admin, "GET", path)
    _done(admin, "POST", f"{path}/rotate")
    _done(admin, "DELETE", path)


def _done(
    admin: Person, method: str, path: str, body: object = None, status: int = 200
) -> dict[str, str]:
    answer = admin.call(method, path, body)
    assert answer.status == status, answer.body
    assert isinstance(answer.body, dict)
    return answer.body
