"""Routes of enrollment, agents, artifacts and jobs."""

from typing import Any

from chalicelib.flows.agents import UpdateAgentRequest
from chalicelib.flows.artifacts import ArtifactRequest
from chalicelib.flows.enrollment import ExchangeRequest
from chalicelib.flows.heartbeat import HeartbeatRequest
from chalicelib.flows.mint import MintRequest
from chalicelib.flows.revoke_agent import RevokeAgentRequest
from chalicelib.flows.tokens import RevokeTokenRequest
from tests.functional.route import Route
from tests.functional.world import World, artifact_wish

ENROLLMENT = "/api/v1/agent-enrollment"
AGENT = "/api/v1/agents/{agent_id}"


def _mint(world: World) -> dict[str, Any]:
    return {"environment": world.tenant.environment}


def _beat(_: World) -> dict[str, Any]:
    return {"sequence": 2, "nonce": "n" * 20, "instance": "i" * 20}


ROUTES = (
    Route("GET", "/healthz"),
    Route("GET", "/readyz"),
    Route(
        "POST", f"{ENROLLMENT}/tokens", kind=MintRequest, body=_mint,
        ids_in_body={"environment": "env"},
    ),
    Route(
        "GET", f"{ENROLLMENT}/tokens",
        query=("environment", "status", "limit", "cursor"), ids_in_query={"environment": "env"},
    ),
    Route("GET", f"{ENROLLMENT}/tokens/{{enrollment_token_id}}"),
    Route(
        "POST", f"{ENROLLMENT}/tokens/{{enrollment_token_id}}/revoke",
        kind=RevokeTokenRequest, body=lambda _: {"note": "why"}, body_is_optional=True, ends=True,
    ),
    Route(
        "POST", f"{ENROLLMENT}/exchange",
        kind=ExchangeRequest, body=lambda _: {"hostname": "host-1.example"},
    ),
    Route(
        "POST", f"{ENROLLMENT}/check",
        kind=ExchangeRequest, body=lambda _: {"hostname": "host-1.example"},
    ),
    Route(
        "GET", "/api/v1/agents",
        query=("environment", "status", "label", "name", "exact_name", "limit", "cursor"),
        ids_in_query={"environment": "env"},
    ),
    Route("GET", AGENT),
    Route(
        "PATCH", AGENT,
        kind=UpdateAgentRequest, body=lambda _: {"labels": {"rack": "7"}},
    ),
    Route(
        "POST", f"{AGENT}/revoke",
        kind=RevokeAgentRequest, body=lambda _: {"note": "why"}, body_is_optional=True, ends=True,
    ),
    Route(
        "POST", f"{AGENT}/telemetry/heartbeat", kind=HeartbeatRequest, body=_beat,
        ids_in_body={"collector_id": "col", "asset_id": "ast"},
    ),
    Route(
        "POST", f"{AGENT}/artifacts",
        kind=ArtifactRequest, body=lambda _: artifact_wish(b"other content"),
    ),
    Route("GET", f"{AGENT}/artifacts", query=("limit", "cursor")),
    Route("GET", f"{AGENT}/artifacts/{{artifact_id}}"),
    Route("GET", f"{AGENT}/artifacts/{{artifact_id}}/download"),
    Route("GET", "/api/v1/jobs/{job_id}"),
)  # fmt: skip
