"""An agent's machine: its facts, the identity that it had before, and its end."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import agents as agent_flow
from chalicelib.flows import decommission as decommission_flow
from chalicelib.flows import facts as facts_flow
from chalicelib.flows import replace_agent as replace_flow

api = Api(__name__, prefix="/api/v1/agents")


@api.route("/{agent_id}/facts", methods=["PUT"])
def receive_facts(caller: Caller, agent_id: str) -> Response:
    """Keep what a host says about itself."""
    del agent_id  # the caller's own, as the key says
    said = requests.body(api.current_request, facts_flow.FactsRequest)
    patience = runtime.current().patience
    changed = facts_flow.receive(patience, caller.origin, caller.agent, said)
    return answer({"facts_sha256": said.facts_sha256, "changed": changed})


@api.route("/{agent_id}/facts", methods=["GET"])
def get_facts(caller: Caller, agent_id: str) -> Response:
    """What a host says about itself, and how that changed."""
    requests.query(api.current_request)
    found = facts_flow.get(caller.origin.organization, agent_id)
    return answer(shapes.facts(agent_id, found))


@api.route("/{agent_id}/replace", methods=["POST"])
def replace_agent(caller: Caller, agent_id: str) -> Response:
    """Confirm that this agent is the re-imaged host of a former one, which ends."""
    origin = caller.origin
    wanted = requests.body(api.current_request, replace_flow.ReplaceAgentRequest)
    sees = caller.operator.sees
    replace_flow.replace(runtime.current().patience, origin, agent_id, wanted, sees)
    return answer(shapes.agent(agent_flow.get(origin.organization, agent_id, origin.now, sees)))


@api.route("/{agent_id}/decommission", methods=["POST"])
def decommission_agent(caller: Caller, agent_id: str) -> Response:
    """End an agent for good: its own key is refused from now on, and it leaves the lists."""
    origin, patience = caller.origin, runtime.current().patience
    wanted = requests.body(
        api.current_request, decommission_flow.DecommissionRequest, optional=True
    )
    if caller.claims is not None:
        name = decommission_flow.by_agent(patience, origin, caller.claims, wanted)
        named = {} if name is None else {"successor_name": name}
        return answer({"agent_id": agent_id, "status": "revoked", **named})
    decommission_flow.by_operator(patience, origin, agent_id, wanted)
    sees = caller.operator.sees
    return answer(shapes.agent(agent_flow.get(origin.organization, agent_id, origin.now, sees)))
