"""Waiting for hosts to come online."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall_cli import surroundings
from rollcall_cli.completion import complete_agent
from rollcall_cli.options import Environment, Timeout
from rollcall_cli.waiting import Waiting
from rollcall_cli.watching import Hosts, watch_agents


def watch(
    context: typer.Context,
    agents: Annotated[
        list[str],
        typer.Argument(
            help="Names or ids; a name may be one that is still to enroll.",
            autocompletion=complete_agent,
        ),
    ],
    *,
    environment: Environment = None,
    timeout: Timeout = 300,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a line with the agent for each change.")
    ] = False,
) -> None:
    """Watch hosts come online: 0 when all are, 6 when time is over, 7 when one is revoked."""
    with surroundings.operator(context) as operator:
        within = operator.names.environment(environment) if environment else None
        hosts = Hosts(operator, operator.screen.result, as_json=as_json)
        watch_agents(operator, agents, within, hosts, Waiting(operator.clock, timeout))
