"""Routes of an agent's machine: its facts, the identity it had before, its end."""

from typing import Any

from chalicelib.flows.decommission import DecommissionRequest
from chalicelib.flows.facts import FactsRequest
from chalicelib.flows.replace_agent import ReplaceAgentRequest
from tests.functional.route import Route
from tests.functional.routes_core import AGENT


def some_facts() -> dict[str, Any]:
    """A good body, which is nobody else's to change."""
    return {"facts_sha256": "0" * 64, "facts": {"hostname": "host-1.example", "cpus": 4}}


ROUTES = (
    Route("PUT", f"{AGENT}/facts", kind=FactsRequest, body=lambda _: some_facts()),
    Route("GET", f"{AGENT}/facts"),
    Route(
        "POST", f"{AGENT}/replace", kind=ReplaceAgentRequest,
        # The world has one agent, which does not take its own place.
        body=lambda world: {"former": world.host.agent_id, "note": "why"},
        ids_in_body={"former": "agt"}, answers=(409,),
    ),
    Route(
        "POST", f"{AGENT}/decommission", kind=DecommissionRequest,
        body=lambda _: {"note": "why"}, body_is_optional=True, ends=True,
    ),
)  # fmt: skip
