"""An agent's life: quarantine and its end, a new runtime key."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.exits import usage
from rollcall_cli.lists import show_one
from rollcall_cli.options import Agent, AsJson, Environment, Note, Yes
from rollcall_cli.quarantines import copies_of, why_quarantined
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import cell
from rollcall_cli.text import clean

SPLIT = "split"
DECISIONS = ("keep", SPLIT)


def add_to(agents: typer.Typer) -> None:
    """Add these commands to those of agents."""
    agents.command("quarantine")(quarantine)
    agents.command("release")(release)
    agents.command("rotate-key")(rotate_key)


def quarantine(
    context: typer.Context,
    agent: Agent,
    *,
    environment: Environment = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop an agent until it is released. It keeps its runtime key."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        operator.screen.confirm(f"Quarantine {agent} ({agent_id})?", yes=yes)
        body = {"note": note} if note else {}
        changed = operator.plane.post("agents", agent_id, "quarantine", body=body)
        _say(operator, changed, "is quarantined", as_json=as_json)


def release(
    context: typer.Context,
    agent: Agent,
    decision: Annotated[
        str,
        typer.Argument(
            help="keep: the agent goes on. split: a copy of it gets an identity of its own."
        ),
    ],
    *,
    instance: Annotated[
        str | None,
        typer.Option("--instance", help="With split: which copy; without it, the newer one."),
    ] = None,
    environment: Environment = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End an agent's quarantine."""
    if decision not in DECISIONS:
        raise usage("An agent is released with keep or with split.")
    if instance is not None and decision != SPLIT:
        raise usage("--instance goes with split.")
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        if not yes:
            _show_quarantine(operator, operator.plane.get("agents", agent_id), decision, instance)
        operator.screen.confirm(f"Release {agent} ({agent_id}): {decision}?", yes=yes)
        body = {"decision": decision, "instance": instance, "note": note}
        given = {name: value for name, value in body.items() if value is not None}
        changed = operator.plane.post("agents", agent_id, "release", body=given)
        _say(operator, changed, "is released", as_json=as_json)


def rotate_key(
    context: typer.Context,
    agent: Agent,
    *,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Ask an agent to take a new runtime key with its next beat."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        changed = operator.plane.post("agents", agent_id, "runtime-key", "request-rotation")
        _say(operator, changed, "is to rotate its key with its next beat", as_json=as_json)


def _show_quarantine(
    operator: Operator, agent: dict[str, Any], decision: str, instance: str | None
) -> None:
    """Show why an agent is quarantined, its copies, and which one gets an identity of its own.

    Raises:
        CliError: a copy shall be split off, and there is none.
    """
    why = why_quarantined(agent)
    if why is not None:
        operator.screen.note(f"{clean(str(agent.get('name')), 80)} is quarantined {why}.")
    copies = copies_of(agent)
    if decision == SPLIT and why is not None and not copies:
        raise usage("No copy of it was seen that could be split off. Next: release it with keep.")
    for number, copy in enumerate(copies):
        said = {name: clean(str(value)) for name, value in copy.items() if value is not None}
        name = said.get("instance", "unknown")
        is_meant = name == instance if instance is not None else number == 0
        operator.screen.note(
            f"Copy {name} ({'newer' if number == 0 else 'older'}): "
            f"last seen {cell(said.get('last_seen_at'))} "
            f"from {said.get('source_address', 'an unknown address')}."
            + (" It gets the new identity." if decision == SPLIT and is_meant else "")
        )


def _say(operator: Operator, agent: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        show_one(operator, agent, as_json=True)
    else:
        operator.screen.result(f"{agent.get('agent_id')} {what}.")
