"""Agents, as operators see them."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.fields import LONGEST_NAME
from chalicelib.flows import agents as agent_flow
from chalicelib.flows import revoke_agent as revoke_flow
from chalicelib.flows.agent_status import STATUSES

_LIST = "agents"
api = Api(__name__, prefix="/api/v1/agents")


@api.route("", methods=["GET"])
def list_agents(caller: Caller) -> Response:
    """Agents by name, environment after environment."""
    origin = caller.origin
    wanted = lists.paging(
        api.current_request, origin.organization, _LIST,
        "environment", "status", "label", "name", "exact_name", parts=2,
    )  # fmt: skip
    if "name" in wanted.given and "exact_name" in wanted.given:
        raise requests.bad_parameter("exact_name", "not together with name")
    page = agent_flow.page(
        origin.organization,
        agent_flow.AgentFilter(
            environments=lists.environments(caller, wanted.given),
            status=requests.one_of(wanted.given, "status", STATUSES),
            label=_label(wanted.given.get("label")),
            name=_name(wanted.given, "name"),
            exact_name=_name(wanted.given, "exact_name"),
        ),
        start=wanted.start,
        limit=wanted.limit,
        now=origin.now,
        sees=caller.operator.sees,
    )
    return wanted.answer("agents", [shapes.agent(found) for found in page.rows], page.next)


def _name(given: dict[str, str], parameter: str) -> str | None:
    name = given.get(parameter)
    if name is not None and len(name) > LONGEST_NAME:
        raise requests.bad_parameter(parameter, f"at most {LONGEST_NAME} characters")
    return name


def _label(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    key, separator, value = given.partition("=")
    if not separator or not key:
        raise requests.bad_parameter("label", "key=value")
    return key, value


@api.route("/{agent_id}", methods=["GET"])
def get_agent(caller: Caller, agent_id: str) -> Response:
    """One agent."""
    origin = caller.origin
    requests.query(api.current_request)
    found = agent_flow.get(origin.organization, agent_id, origin.now, caller.operator.sees)
    return answer(shapes.agent(found))


@api.route("/{agent_id}", methods=["PATCH"])
def update_agent(caller: Caller, agent_id: str) -> Response:
    """Change name or labels."""
    origin = caller.origin
    wanted = requests.body(api.current_request, agent_flow.UpdateAgentRequest)
    now = runtime.current()
    changed = agent_flow.update(now.patience, origin, agent_id, wanted, caller.operator.sees)
    return answer(shapes.agent(changed))


@api.route("/{agent_id}/revoke", methods=["POST"])
def revoke_agent(caller: Caller, agent_id: str) -> Response:
    """End an agent: its next request is refused. Revoking twice changes nothing."""
    origin = caller.origin
    wanted = requests.body(api.current_request, revoke_flow.RevokeAgentRequest, optional=True)
    now = runtime.current()
    revoke_flow.revoke(now.patience, origin, agent_id, wanted.note)
    found = agent_flow.get(origin.organization, agent_id, origin.now, caller.operator.sees)
    return answer(shapes.agent(found))
