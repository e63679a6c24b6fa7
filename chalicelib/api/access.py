"""The table of routes: which family of credential each takes, and what that must be allowed.

The app serves the rows of this table and nothing else: a view whose route has no row is never
reached, and its module does not even import. The tests call every route with every family and every
role and compare the outcome with this table; `docs/access.md` is made from it.
"""

from typing import Literal

import msgspec

from chalicelib.permissions import Kind, Permission

SESSION, PERSONAL_TOKEN, ORGANIZATION_KEY = "rcs_", "rcp_", "rco_"
ENROLLMENT_TOKEN, RUNTIME_KEY, APPROVAL = "rce_", "rca_", "rcv_"
FAMILIES = (
    SESSION, PERSONAL_TOKEN, ORGANIZATION_KEY, ENROLLMENT_TOKEN, RUNTIME_KEY, APPROVAL,
)  # fmt: skip
OPERATORS = (SESSION, PERSONAL_TOKEN, ORGANIZATION_KEY)
"""Whoever is held to scopes and permissions; a session has every scope."""


class Place(msgspec.Struct, frozen=True):
    """Where a request names what it is about."""

    kind: Kind
    source: Literal["path", "body", "query"]
    name: str


class Access(msgspec.Struct, frozen=True):
    """Who may call a route.

    Args:
        families: the prefixes of the credentials that it takes; none where it asks for none.
        permission: what a person must hold on the place, or on the organization.
        scope: what an organization key, a personal API token or a runtime key must have.
        place: what the request is about.
        anywhere: a list that shows what the caller may see; see `authorization.Wanted`.
        while_deleting: also while that is being deleted.
        ended: also where that has ended and left the lists: asking twice finds the same end.
        in_view: the credential may stand in the body, which the view reads first.
        head: HEAD is answered, too: as GET, without the body.
    """

    families: tuple[str, ...] = ()
    permission: Permission | None = None
    scope: str | None = None
    place: Place | None = None
    anywhere: bool = False
    while_deleting: bool = False
    ended: bool = False
    in_view: bool = False
    head: bool = False


def _path(kind: Kind) -> Place:
    return Place(kind, "path", f"{kind}_id")


def _operators(scope: str, permission: Permission, place: Place | None = None) -> Access:
    return Access(OPERATORS, permission, scope, place)


def _list(scope: str, permission: Permission) -> Access:
    # An unknown environment is an empty list, as a foreign one is.
    return Access(
        OPERATORS, permission, scope, Place("environment", "query", "environment"), anywhere=True
    )


def _deletes(kind: Kind) -> Access:
    return Access(
        OPERATORS,
        Permission.MANAGE_PROJECT,
        "organization:write",
        _path(kind),
        while_deleting=True,
    )


_ANYBODY = Access()
_FOR_MACHINES = Access(head=True)
"""For monitors and downloaders, which send HEAD before GET or instead of it."""
A_PERSON = Access((SESSION,), while_deleting=True)
"""A person may look after themselves, and leave, also where the organization is being deleted."""

_AGENT = _path("agent")
_BY_THE_AGENT = Access((RUNTIME_KEY,), scope="agent:heartbeat")
_CHANGES_AGENT = _operators("agents:write", Permission.OPERATE_ENVIRONMENT, _AGENT)
_TOKEN = _path("enrollment_token")
_READS_MEMBERS = Access((SESSION, PERSONAL_TOKEN), Permission.VIEW_ORG, "organization:read")
# No scope gives these: only a person who logged in changes people, their roles, and keys.
_MANAGES_PEOPLE = Access((SESSION,), Permission.MANAGE_ORG_MEMBERSHIPS)
_MANAGES_PEOPLE_OF_PROJECT = Access((SESSION,), Permission.MANAGE_PROJECT, place=_path("project"))
_READS, _WRITES = "enrollment:read", "enrollment:write"
_ENROLLMENT = "/api/v1/agent-enrollment"
_AGENTS = "/api/v1/agents/{agent_id}"
_ORGANIZATION = "/api/v1/organizations/{organization_id}"
_PROJECT = "/api/v1/projects/{project_id}"
_ENVIRONMENT = "/api/v1/environments/{environment_id}"
_IDENTITY_PROVIDER = "/api/v1/organizations/{organization_id}/identity-provider"

MODULES: dict[str, dict[str, Access]] = {
    "heartbeats": {
        f"POST {_AGENTS}/telemetry/heartbeat": _BY_THE_AGENT,
    },
    "enrollment": {
        f"POST {_ENROLLMENT}/tokens": _operators(
            _WRITES, Permission.OPERATE_ENVIRONMENT, Place("environment", "body", "environment")
        ),
        f"GET {_ENROLLMENT}/tokens": _list(_READS, Permission.VIEW_ENVIRONMENT),
        f"GET {_ENROLLMENT}/tokens/{{enrollment_token_id}}": _operators(
            _READS, Permission.VIEW_ENVIRONMENT, _TOKEN
        ),
        f"POST {_ENROLLMENT}/tokens/{{enrollment_token_id}}/revoke": _operators(
            _WRITES, Permission.OPERATE_ENVIRONMENT, _TOKEN
        ),
        f"POST {_ENROLLMENT}/exchange": Access(
            (ENROLLMENT_TOKEN,), scope="agent:enroll", in_view=True
        ),
        f"POST {_ENROLLMENT}/check": Access(
            (ENROLLMENT_TOKEN,), scope="agent:enroll", in_view=True
        ),
    },
    "attempts": {
        f"GET {_ENROLLMENT}/attempts": _list(_READS, Permission.VIEW_ENVIRONMENT),
    },
    "agents": {
        "GET /api/v1/agents": _list("agents:read", Permission.VIEW_ENVIRONMENT),
        f"GET {_AGENTS}": _operators("agents:read", Permission.VIEW_ENVIRONMENT, _AGENT),
        f"PATCH {_AGENTS}": _CHANGES_AGENT,
        f"POST {_AGENTS}/revoke": _CHANGES_AGENT,
    },
    "agent_life": {
        f"POST {_AGENTS}/quarantine": _CHANGES_AGENT,
        f"POST {_AGENTS}/release": _CHANGES_AGENT,
        f"POST {_AGENTS}/runtime-key/request-rotation": _CHANGES_AGENT,
        f"POST {_AGENTS}/split": _BY_THE_AGENT,
        f"POST {_AGENTS}/runtime-key/rotate": _BY_THE_AGENT,
    },
    "machines": {
        f"PUT {_AGENTS}/facts": _BY_THE_AGENT,
        f"GET {_AGENTS}/facts": _operators("agents:read", Permission.VIEW_ENVIRONMENT, _AGENT),
        f"POST {_AGENTS}/replace": _CHANGES_AGENT,
        f"POST {_AGENTS}/decommission": Access(
            (RUNTIME_KEY, *OPERATORS),
            Permission.OPERATE_ENVIRONMENT,
            "agents:write",
            _AGENT,
            ended=True,
        ),
    },
    "artifacts": {
        f"POST {_AGENTS}/artifacts": Access((RUNTIME_KEY,), scope="agent:artifact_upload"),
        f"GET {_AGENTS}/artifacts": _operators(
            "artifacts:read", Permission.VIEW_ENVIRONMENT, _AGENT
        ),
        f"GET {_AGENTS}/artifacts/{{artifact_id}}": Access(
            (RUNTIME_KEY, *OPERATORS), Permission.VIEW_ENVIRONMENT, "artifacts:read", _AGENT
        ),
        f"GET {_AGENTS}/artifacts/{{artifact_id}}/download": _operators(
            "artifacts:read", Permission.VIEW_ENVIRONMENT, _AGENT
        ),
    },
    "health": {
        "GET /healthz": _FOR_MACHINES,
        "GET /readyz": _FOR_MACHINES,
    },
    "install": {
        "GET /install/install.sh": _FOR_MACHINES,
        "GET /install/install.ps1": _FOR_MACHINES,
        "GET /agent/manifest": _FOR_MACHINES,
        # It redirects to an address that is signed for GET: a HEAD would be refused there.
        "GET /agent/binary": Access(),
    },
    "jobs": {
        "GET /api/v1/jobs/{job_id}": Access(
            OPERATORS, Permission.VIEW_PROJECT, "jobs:read", _path("job"), while_deleting=True
        ),
    },
    "audit": {
        "GET /api/v1/audit-records": _operators("audit:read", Permission.VIEW_ORG),
    },
    "audit_exports": {
        "POST /api/v1/audit-records/export": _operators("audit:read", Permission.VIEW_ORG),
        "GET /api/v1/audit-records/exports/{export_id}": _operators(
            "audit:read", Permission.VIEW_ORG
        ),
    },
    "organizations": {
        "GET /api/v1/organizations": Access(
            (SESSION, PERSONAL_TOKEN), scope="organization:read", while_deleting=True
        ),
        "POST /api/v1/organizations": _MANAGES_PEOPLE,
        # A credential is of one organization: the view refuses the names of others.
        f"GET {_ORGANIZATION}": Access(
            OPERATORS, Permission.VIEW_ORG, "organization:read", while_deleting=True
        ),
        f"PATCH {_ORGANIZATION}": _operators(
            "organization:write", Permission.MANAGE_ORG_MEMBERSHIPS
        ),
        f"DELETE {_ORGANIZATION}": Access(
            (SESSION,), Permission.MANAGE_ORG_MEMBERSHIPS, while_deleting=True
        ),
    },
    "projects": {
        "GET /api/v1/projects": Access(
            OPERATORS, Permission.VIEW_PROJECT, "organization:read", anywhere=True
        ),
        "POST /api/v1/projects": _operators("organization:write", Permission.MANAGE_PROJECT),
        f"GET {_PROJECT}": _operators(
            "organization:read", Permission.VIEW_PROJECT, _path("project")
        ),
        f"PATCH {_PROJECT}": _operators(
            "organization:write", Permission.MANAGE_PROJECT, _path("project")
        ),
        # Asking twice for a deletion finds the same job.
        f"DELETE {_PROJECT}": _deletes("project"),
    },
    "environments": {
        "GET /api/v1/environments": Access(
            OPERATORS,
            Permission.VIEW_ENVIRONMENT,
            "organization:read",
            Place("project", "query", "project"),
            anywhere=True,
        ),
        "POST /api/v1/environments": _operators(
            "organization:write", Permission.MANAGE_PROJECT, Place("project", "body", "project")
        ),
        f"GET {_ENVIRONMENT}": _operators(
            "organization:read", Permission.VIEW_ENVIRONMENT, _path("environment")
        ),
        f"PATCH {_ENVIRONMENT}": _operators(
            "organization:write", Permission.MANAGE_ENVIRONMENT, _path("environment")
        ),
        f"DELETE {_ENVIRONMENT}": _deletes("environment"),
    },
    "members": {
        "GET /api/v1/members": _READS_MEMBERS,
        "GET /api/v1/members/{user_id}": _READS_MEMBERS,
        "PATCH /api/v1/members/{user_id}": _MANAGES_PEOPLE,
        "DELETE /api/v1/members/{user_id}": _MANAGES_PEOPLE,
        "POST /api/v1/members/{user_id}/disable": _MANAGES_PEOPLE,
        "POST /api/v1/members/{user_id}/enable": _MANAGES_PEOPLE,
        "GET /api/v1/projects/{project_id}/members": Access(
            (SESSION, PERSONAL_TOKEN),
            Permission.VIEW_PROJECT,
            "organization:read",
            _path("project"),
        ),
        "PUT /api/v1/projects/{project_id}/members/{user_id}": _MANAGES_PEOPLE_OF_PROJECT,
        "DELETE /api/v1/projects/{project_id}/members/{user_id}": _MANAGES_PEOPLE_OF_PROJECT,
    },
    "invitations": {
        "GET /api/v1/invitations": _MANAGES_PEOPLE,
        "POST /api/v1/invitations": _MANAGES_PEOPLE,
        "DELETE /api/v1/invitations/{invitation_id}": _MANAGES_PEOPLE,
        "POST /api/v1/invitations/accept": _ANYBODY,
    },
    "organization_keys": {
        "GET /api/v1/organization-keys": _MANAGES_PEOPLE,
        "POST /api/v1/organization-keys": _MANAGES_PEOPLE,
        "GET /api/v1/organization-keys/{organization_key_id}": _MANAGES_PEOPLE,
        "DELETE /api/v1/organization-keys/{organization_key_id}": _MANAGES_PEOPLE,
        "POST /api/v1/organization-keys/{organization_key_id}/rotate": _MANAGES_PEOPLE,
    },
    "login": {
        "POST /api/v1/auth/login": _ANYBODY,
        "POST /api/auth/login": _ANYBODY,
        "POST /api/v1/auth/logout": A_PERSON,
        "POST /api/v1/auth/switch": A_PERSON,
    },
    "me": {
        "GET /api/v1/me": Access((SESSION, PERSONAL_TOKEN), while_deleting=True),
        "PATCH /api/v1/me": A_PERSON,
        "POST /api/v1/me/password": A_PERSON,
        "GET /api/v1/me/sessions": A_PERSON,
        "DELETE /api/v1/me/sessions/{session_id}": A_PERSON,
        "POST /api/v1/me/sessions/revoke": A_PERSON,
    },
    "personal_tokens": {
        "GET /api/v1/me/tokens": A_PERSON,
        "POST /api/v1/me/tokens": Access((SESSION,)),
        "DELETE /api/v1/me/tokens/{personal_token_id}": A_PERSON,
    },
    "oidc": {
        f"GET {_IDENTITY_PROVIDER}": Access(
            (SESSION, PERSONAL_TOKEN), Permission.MANAGE_ORG_MEMBERSHIPS, "organization:read"
        ),
        f"PUT {_IDENTITY_PROVIDER}": _MANAGES_PEOPLE,
        f"DELETE {_IDENTITY_PROVIDER}": _MANAGES_PEOPLE,
        "GET /api/v1/auth/oidc/{organization_id}/start": _ANYBODY,
        "GET /api/v1/auth/oidc/{organization_id}/callback": _ANYBODY,
    },
}
"""The rows of each module of views."""

ROUTES: dict[str, Access] = {
    route: access for rows in MODULES.values() for route, access in rows.items()
}

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""All that API Gateway knows."""


def allowed_methods() -> dict[str, tuple[str, ...]]:
    """The methods of each path, in order: those of the table, and OPTIONS."""
    found: dict[str, set[str]] = {}
    for route, access in ROUTES.items():
        method, path = route.split(" ", 1)
        found.setdefault(path, {"OPTIONS"}).update({method, "HEAD"} if access.head else {method})
    return {path: tuple(sorted(methods)) for path, methods in found.items()}
