"""Environments: what they tell all their agents."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.completion import complete_environment
from rollcall_cli.exits import usage
from rollcall_cli.lists import show_one
from rollcall_cli.options import AsJson, Yes, seconds

app = typer.Typer(no_args_is_help=True, help="See environments, and steer their agents.")
Which = Annotated[str, typer.Argument(help="Name or id.", autocompletion=complete_environment)]
_OFF = "off"
# Below this the agents' requests are most of what the stage costs (docs/figures.md, docs/cli.md).
_COSTLY_BELOW = 10
# List prices of 2025: 0.21 an agent and month at one beat a minute.
_USD_OF_1000_AGENTS_AT_A_MINUTE = 210
_MINUTE = 60


@app.command()
def show(context: typer.Context, environment: Which, *, as_json: AsJson = False) -> None:
    """Show an environment."""
    with surroundings.operator(context) as operator:
        identifier = operator.names.environment(environment)
        show_one(operator, operator.plane.get("environments", identifier), as_json=as_json)


@app.command("set")
def set_values(
    context: typer.Context,
    environment: Which,
    *,
    interval: Annotated[str | None, typer.Option(help="How often agents beat: 30, 5m.")] = None,
    slowdown: Annotated[
        str | None,
        typer.Option(help="Until it is off, agents beat no more often than this: 10m, off."),
    ] = None,
    agent_version: Annotated[
        str | None, typer.Option(help="What agents upgrade to: 1.2.3, off.")
    ] = None,
    percent: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=100,
            help="How many percent of the agents upgrade; a higher number adds some.",
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Change how often an environment's agents beat, or which version they are to have."""
    body: dict[str, Any] = {}
    if interval is not None:
        body["heartbeat_interval_seconds"] = seconds(interval, "--interval")
    if slowdown is not None:
        body["slowdown_seconds"] = None if slowdown == _OFF else seconds(slowdown, "--slowdown")
    if agent_version is not None:
        body["agent_version"] = None if agent_version == _OFF else agent_version
    if percent is not None:
        body["agent_rollout_percent"] = percent
    if not body:
        raise usage("Give something to change: --interval, --slowdown, --agent-version, --percent.")
    with surroundings.operator(context) as operator:
        identifier = operator.names.environment(environment)
        every = body.get("heartbeat_interval_seconds")
        if every is not None and every < _COSTLY_BELOW:
            cost = _USD_OF_1000_AGENTS_AT_A_MINUTE * _MINUTE // every
            operator.screen.confirm(
                f"A beat every {every} s costs about {cost:,} USD a month for 1,000 agents. "
                f"Set it for {environment} ({identifier})?",
                yes=yes,
            )
        changed = operator.plane.patch("environments", identifier, body=body)
        if as_json:
            show_one(operator, changed, as_json=True)
        else:
            names = ", ".join(
                f"{name}={_OFF if changed.get(name) is None else changed[name]}" for name in body
            )
            operator.screen.result(
                f"{identifier}: {names}. Agents learn of it with their next beats."
            )
