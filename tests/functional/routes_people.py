"""Routes of members, invitations and organization keys."""

from typing import Any

from chalicelib.flows.invitations import InviteRequest
from chalicelib.flows.joining import AcceptRequest
from chalicelib.flows.members import ChangeRoleRequest
from chalicelib.flows.members_accounts import AccountRequest
from chalicelib.flows.members_of_projects import ProjectRoleRequest
from chalicelib.flows.organization_keys import CreateKeyRequest, RotateKeyRequest
from tests.functional.route import Route
from tests.functional.world import World

MEMBER = "/api/v1/members/{user_id}"
PROJECT_MEMBERS = "/api/v1/projects/{project_id}/members"
INVITATIONS = "/api/v1/invitations"
KEYS = "/api/v1/organization-keys"
KEY = f"{KEYS}/{{organization_key_id}}"


def _accept(_: World) -> dict[str, Any]:
    return {"invitation": "of nobody", "username": "nobody", "password": "canary of nobody"}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/v1/members", query=("limit", "cursor")),
    Route("GET", MEMBER),
    Route("PATCH", MEMBER, kind=ChangeRoleRequest, body=lambda _: {"role": "org_admin"}),
    # The world has one org_admin, whom nobody can take away.
    Route("DELETE", MEMBER, ends=True, answers=(409,)),
    Route(
        "POST", f"{MEMBER}/disable", kind=AccountRequest, body=lambda _: {"note": "why"},
        body_is_optional=True, ends=True, answers=(409,),
    ),
    Route(
        "POST", f"{MEMBER}/enable", kind=AccountRequest, body=lambda _: {"note": "why"},
        body_is_optional=True,
    ),
    Route("GET", PROJECT_MEMBERS, query=("limit", "cursor")),
    Route(
        "PUT", f"{PROJECT_MEMBERS}/{{user_id}}", kind=ProjectRoleRequest,
        body=lambda _: {"role": "viewer"},
    ),
    # Asked for again it finds no role any more.
    Route("DELETE", f"{PROJECT_MEMBERS}/{{user_id}}", ends=True, answers=(200, 404)),
    Route("GET", INVITATIONS, query=("limit", "cursor")),
    Route("POST", INVITATIONS, kind=InviteRequest, body=lambda _: {"role": "viewer"}),
    Route("POST", f"{INVITATIONS}/accept", kind=AcceptRequest, body=_accept, answers=(404,)),
    Route("DELETE", f"{INVITATIONS}/{{invitation_id}}", ends=True),
    Route("GET", KEYS, query=("limit", "cursor")),
    Route(
        "POST", KEYS, kind=CreateKeyRequest,
        body=lambda _: {"name": "ci", "scopes": ["agents:read"]},
    ),
    Route("GET", KEY),
    Route("DELETE", KEY, ends=True),
    Route(
        "POST", f"{KEY}/rotate", kind=RotateKeyRequest, body=lambda _: {"overlap_seconds": 60},
        body_is_optional=True,
    ),
)  # fmt: skip
