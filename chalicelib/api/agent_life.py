"""An agent's life between its enrollment and its end: quarantine, split, rotation."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import agents as agent_flow
from chalicelib.flows import quarantine as quarantine_flow
from chalicelib.flows import rotation as rotation_flow
from chalicelib.flows import split as split_flow

api = Api(__name__, prefix="/api/v1/agents")


@api.route("/{agent_id}/quarantine", methods=["POST"])
def quarantine_agent(caller: Caller, agent_id: str) -> Response:
    """Stop an agent until somebody decides. Doing it twice changes nothing."""
    wanted = requests.body(api.current_request, quarantine_flow.QuarantineRequest, optional=True)
    quarantine_flow.quarantine(runtime.current().patience, caller.origin, agent_id, wanted.note)
    return _shown(caller, agent_id)


@api.route("/{agent_id}/release", methods=["POST"])
def release_agent(caller: Caller, agent_id: str) -> Response:
    """End a quarantine: the agent goes on, and a copy of it gets an identity or does not."""
    wanted = requests.body(api.current_request, quarantine_flow.ReleaseRequest)
    now = runtime.current()
    quarantine_flow.release(
        now.patience, caller.origin, agent_id, wanted, now.settings.presence_bucket_seconds
    )
    return _shown(caller, agent_id)


@api.route("/{agent_id}/split", methods=["POST"])
def split_agent(caller: Caller, agent_id: str) -> Response:
    """Give the copy that calls an identity of its own, as an operator decided."""
    del agent_id  # the caller's own, as the key says
    wanted = requests.body(api.current_request, split_flow.SplitRequest)
    key = requests.idempotency_key(api.current_request)
    now = runtime.current()
    tools = split_flow.SplitTools(now.keyring, now.patience)
    result = split_flow.split(tools, caller.origin, caller.agent, wanted, key)
    base = requests.public_url(api.current_request, now.settings.public_url)
    return answer(shapes.enrolled(result, base, now.clock()), 200 if result.replayed else 201)


@api.route("/{agent_id}/runtime-key/rotate", methods=["POST"])
def rotate_runtime_key(caller: Caller, agent_id: str) -> Response:
    """Show the agent a new key. The old one lives until the new one's first use."""
    del agent_id
    wanted = requests.body(api.current_request, rotation_flow.RotateRequest, optional=True)
    now = runtime.current()
    key = rotation_flow.rotate(now.keyring, now.patience, caller.origin, caller.agent, wanted)
    return answer(
        {
            "runtime_key": key.raw,
            "runtime_key_issued_at": rfc3339(caller.origin.now),
            "runtime_key_expires_at": rfc3339(key.expires_at),
            "server_time": rfc3339(now.clock()),
        },
        201,
    )


@api.route("/{agent_id}/runtime-key/request-rotation", methods=["POST"])
def request_key_rotation(caller: Caller, agent_id: str) -> Response:
    """Let the agent's next beat tell it to rotate its key. Twice is as good as once."""
    requests.query(api.current_request)
    rotation_flow.request(runtime.current().patience, caller.origin, agent_id)
    return _shown(caller, agent_id)


def _shown(caller: Caller, agent_id: str) -> Response:
    origin = caller.origin
    found = agent_flow.get(origin.organization, agent_id, origin.now, caller.operator.sees)
    return answer(shapes.agent(found))
