"""The table of routes: who may call, with what, and where identifiers stand.

The tests of bad input, of tenants and of credential families run over it. A route of the app
that has no row here fails `test_every_route_has_a_row`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chalicelib.flows.agents import UpdateAgentRequest
from chalicelib.flows.artifacts import ArtifactRequest
from chalicelib.flows.enrollment import ExchangeRequest
from chalicelib.flows.heartbeat import HeartbeatRequest
from chalicelib.flows.mint import MintRequest
from chalicelib.flows.revoke_agent import RevokeAgentRequest
from chalicelib.flows.tokens import RevokeTokenRequest
from tests.functional.gateway import Sent
from tests.functional.world import World, artifact_wish

ENROLLMENT = "/api/v1/agent-enrollment"
AGENT = "/api/v1/agents/{agent_id}"
Body = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Args:
        families: the prefixes that are admitted; none where no credential is asked for.
        scope: what an organization key needs.
        kind: the structure of the body, where there is one.
        body: a good body.
        query: the parameters that are known.
        ids_in_query: those of them that name something, with the prefix of what they name.
        ids_in_body: the same for members of the body.
    """

    method: str
    path: str
    families: tuple[str, ...] = ("rco_",)
    scope: str | None = None
    kind: type[msgspec.Struct] | None = None
    body: Body | None = None
    body_is_optional: bool = False
    query: tuple[str, ...] = ()
    ids_in_query: dict[str, str] = field(default_factory=dict)
    ids_in_body: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the identifiers in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def is_list(self) -> bool:
        return "cursor" in self.query

    def request(self, world: World, **changed: Any) -> Sent:
        """A good request, but for what is changed."""
        headers = {"content-type": "application/json"}
        if self.families:
            headers["authorization"] = f"Bearer {world.credential(self.families[0])}"
        sent = Sent(
            self.method,
            self.path,
            {name: world.parameters[name] for name in self.parameters},
            headers=headers,
            body=msgspec.json.encode(self.body(world)).decode() if self.body else None,
        )
        for name, value in changed.items():
            setattr(sent, name, value)
        return sent


def _mint(world: World) -> dict[str, Any]:
    return {"environment": world.tenant.environment}


def _beat(_: World) -> dict[str, Any]:
    return {"sequence": 2, "nonce": "n" * 20, "instance": "i" * 20}


ROUTES = (
    Route("GET", "/healthz", ()),
    Route("GET", "/readyz", ()),
    Route(
        "POST", f"{ENROLLMENT}/tokens", scope="enrollment:write", kind=MintRequest, body=_mint,
        ids_in_body={"environment": "env"},
    ),
    Route(
        "GET", f"{ENROLLMENT}/tokens", scope="enrollment:read",
        query=("environment", "status", "limit", "cursor"), ids_in_query={"environment": "env"},
    ),
    Route("GET", f"{ENROLLMENT}/tokens/{{enrollment_token_id}}", scope="enrollment:read"),
    Route(
        "POST", f"{ENROLLMENT}/tokens/{{enrollment_token_id}}/revoke", scope="enrollment:write",
        kind=RevokeTokenRequest, body=lambda _: {"note": "why"}, body_is_optional=True,
    ),
    Route(
        "POST", f"{ENROLLMENT}/exchange", ("rce_",),
        kind=ExchangeRequest, body=lambda _: {"hostname": "host-1.example"},
    ),
    Route(
        "GET", "/api/v1/agents", scope="agents:read",
        query=("environment", "status", "label", "name", "limit", "cursor"),
        ids_in_query={"environment": "env"},
    ),
    Route("GET", AGENT, scope="agents:read"),
    Route(
        "PATCH", AGENT, scope="agents:write",
        kind=UpdateAgentRequest, body=lambda _: {"labels": {"rack": "7"}},
    ),
    Route(
        "POST", f"{AGENT}/revoke", scope="agents:write",
        kind=RevokeAgentRequest, body=lambda _: {"note": "why"}, body_is_optional=True,
    ),
    Route(
        "POST", f"{AGENT}/telemetry/heartbeat", ("rca_",), kind=HeartbeatRequest, body=_beat,
        ids_in_body={"collector_id": "col", "asset_id": "ast"},
    ),
    Route(
        "POST", f"{AGENT}/artifacts", ("rca_",),
        kind=ArtifactRequest, body=lambda _: artifact_wish(b"other content"),
    ),
    Route("GET", f"{AGENT}/artifacts", scope="artifacts:read", query=("limit", "cursor")),
    Route("GET", f"{AGENT}/artifacts/{{artifact_id}}", ("rco_", "rca_"), scope="artifacts:read"),
    Route("GET", f"{AGENT}/artifacts/{{artifact_id}}/download", scope="artifacts:read"),
    Route("GET", "/api/v1/jobs/{job_id}", scope="jobs:read"),
    Route(
        "GET", "/api/v1/audit-records", scope="audit:read",
        query=("since", "until", "resource_type", "resource_id", "order", "limit", "cursor"),
        ids_in_query={"resource_id": "agt"},
    ),
)  # fmt: skip
WITH_BODY = tuple(route for route in ROUTES if route.kind is not None)
WITH_ID = tuple(route for route in ROUTES if route.parameters)
WITH_CREDENTIAL = tuple(route for route in ROUTES if route.families)
LISTS = tuple(route for route in ROUTES if route.is_list)


def of(method: str, path: str) -> Route:
    """The row of a route."""
    (found,) = (route for route in ROUTES if (route.method, route.path) == (method, path))
    return found
