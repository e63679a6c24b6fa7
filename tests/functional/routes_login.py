"""Routes of login, sessions, personal API tokens and the person's own account."""

from typing import Any

from chalicelib.flows.login import LoginRequest
from chalicelib.flows.me import ChangePasswordRequest, UpdateMeRequest
from chalicelib.flows.my_sessions import RevokeSessionsRequest, SwitchRequest
from chalicelib.flows.personal_tokens import MintPersonalTokenRequest
from tests.functional.route import Route
from tests.functional.world import World

ME = "/api/v1/me"


def _login(_: World) -> dict[str, Any]:
    return {"username": "nobody", "password": "canary of nobody"}


def _passwords(_: World) -> dict[str, Any]:
    return {"current_password": "canary of old", "new_password": "canary of new"}


ROUTES: tuple[Route, ...] = (
    *(
        Route(
            "POST", path, kind=LoginRequest, body=_login, ids_in_body={"organization": "org"},
            answers=(401, 429),
        )
        for path in ("/api/v1/auth/login", "/api/auth/login")
    ),
    Route("POST", "/api/v1/auth/logout", ends=True),
    Route(
        "POST", "/api/v1/auth/switch", kind=SwitchRequest,
        body=lambda world: {"organization": world.tenant.organization},
        ids_in_body={"organization": "org"}, ends=True,
    ),
    Route("GET", ME),
    Route("PATCH", ME, kind=UpdateMeRequest, body=lambda _: {"display_name": "Ada"}),
    Route(
        "POST", f"{ME}/password", kind=ChangePasswordRequest, body=_passwords, answers=(409,),
    ),
    Route("GET", f"{ME}/sessions", query=("limit", "cursor")),
    Route("DELETE", f"{ME}/sessions/{{session_id}}", ends=True),
    Route(
        "POST", f"{ME}/sessions/revoke", kind=RevokeSessionsRequest,
        body=lambda _: {"keep_current": True}, ends=True,
    ),
    Route("GET", f"{ME}/tokens", query=("limit", "cursor")),
    Route(
        "POST", f"{ME}/tokens", kind=MintPersonalTokenRequest,
        body=lambda _: {"name": "script", "scopes": ["agents:read"], "ttl_seconds": 3600},
    ),
    Route("DELETE", f"{ME}/tokens/{{personal_token_id}}", ends=True),
)  # fmt: skip
