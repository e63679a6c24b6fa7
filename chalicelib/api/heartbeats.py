"""Heartbeats. Most requests come here: what this module imports, every cold start pays for."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import heartbeat as heartbeat_flow

api = Api(__name__, prefix="/api/v1/agents")


@api.route("/{agent_id}/telemetry/heartbeat", methods=["POST"])
def hear_heartbeat(caller: Caller, agent_id: str) -> Response:
    """Accept a beat: one request to DynamoDB when steady."""
    del agent_id  # the caller's own, as the key says
    said = requests.body(api.current_request, heartbeat_flow.HeartbeatRequest)
    now = runtime.current()
    tools = heartbeat_flow.HeartbeatTools(
        now.controls, now.refusals, now.patience, now.settings.presence_bucket_seconds
    )
    heard = heartbeat_flow.hear(tools, caller.origin, caller.agent, said)
    return answer(
        {
            "status": "online",
            "server_time": rfc3339(now.clock()),
            "heartbeat_interval_seconds": heard.heartbeat_interval,
            "minimum_interval_seconds": heard.minimum_interval,
            "runtime_key_issued_at": rfc3339(caller.agent.issued_at),
            "runtime_key_expires_at": rfc3339(caller.agent.expires_at),
            "facts_wanted": heard.news.facts_wanted,
            "rotate_key": heard.news.rotate_key,
            "agent_version": heard.agent_version,
        },
        headers={"Retry-After": str(heard.heartbeat_interval)} if heard.slowed_down else None,
    )
