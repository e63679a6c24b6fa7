"""CPU of a warm operator's request: authorization and the looking up of one agent.

By a person's session (five rows are read to authorize it) and by an organization key (three),
each against a bare view that sends the same requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import warm
from bench.events import event
from bench.fleet import Agent, Tenant
from bench.processes import HERE, Event, FunctionProcess, require
from bench.size import Size

AGENT = "/api/v1/agents/{agent_id}"


def measure(
    package: Path,
    environ: Mapping[str, str],
    tenant: Tenant,
    agents: list[Agent],
    run_dir: Path,
    size: Size,
) -> dict[str, Any]:
    """`GET /agents/{agent_id}`, by session and by organization key."""
    with FunctionProcess(package, environ) as process:
        session = tenant.log_in(process)
    credentials = {"session": session, "organization key": tenant.operator_key}
    return {
        name: _measured(
            package, environ, run_dir, event("GET", AGENT, credential, agent_id=agents[0].id), size
        )
        for name, credential in credentials.items()
    }


def _measured(
    package: Path, environ: Mapping[str, str], run_dir: Path, sent: Event, size: Size
) -> dict[str, Any]:
    recorded = run_dir / "operator"
    with FunctionProcess(package, environ, "recording:handler") as recorder:
        # The first one tells when the credential was last used, which is done once an hour, and
        # reads the environment's control row, which is kept.
        require(recorder.call([sent]), 200)
        requests = require(recorder.call([sent]), 200).answers[0]["requests"]
    recorded.write_text(repr(warm.as_sent(requests)), "utf-8")
    floor_environ = {**environ, "FLOOR_REQUESTS": str(recorded)}
    with (
        FunctionProcess(package, environ) as process,
        FunctionProcess(package, floor_environ, "operator_request:app", HERE / "floors") as floor,
    ):
        events = [sent] * size.operator_requests
        compared = warm.compared(
            lambda: warm.cpu(process, events, 200), lambda: warm.cpu(floor, events, 200), size
        )
    return {**compared, "operations": [one["operation"] for one in requests]}
