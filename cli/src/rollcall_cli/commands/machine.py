"""An agent's machine: its facts, the identity it had before, its end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.completion import complete_agent
from rollcall_cli.lists import show_one
from rollcall_cli.options import Agent, AsJson, Environment, Note, Yes
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column, cell, show_rows, show_thing
from rollcall_cli.text import clean

_NAME = "name"


def add_to(agents: typer.Typer) -> None:
    """Add these commands to those of agents."""
    agents.command("facts")(facts)
    agents.command("replace")(replace)
    agents.command("decommission")(decommission)


def facts(
    context: typer.Context,
    agent: Agent,
    *,
    changes: Annotated[
        bool, typer.Option("--changes", help="How they changed, newest first.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show what a host says about itself."""
    with surroundings.operator(context) as operator:
        found = operator.plane.get("agents", operator.agent_id(agent, environment), "facts")
        if as_json:
            show_one(operator, found, as_json=True)
        elif found.get("facts") is None:
            operator.screen.note("The agent has sent no facts yet.")
        elif changes:
            _show_changes(operator, found.get("changes") or [])
        else:
            show_thing(operator.screen, _flat(found["facts"], ""))
            operator.screen.note(f"Received {cell(found.get('received_at'))}.")


def replace(
    context: typer.Context,
    agent: Agent,
    former: Annotated[
        str,
        typer.Option(
            "--former",
            help="The agent that the host was before, by name or id.",
            autocompletion=complete_agent,
        ),
    ],
    *,
    environment: Environment = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Confirm that an agent is the re-imaged host of a former one, which ends.

    The former's name and labels go to the agent. This cannot be undone.
    """
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        former_id = operator.agent_id(former, environment)
        operator.screen.confirm(
            f"End {former} ({former_id}) in favour of {agent} ({agent_id})?", yes=yes
        )
        body = {"former": former_id, **({"note": note} if note else {})}
        changed = operator.plane.post("agents", agent_id, "replace", body=body)
        if as_json:
            show_one(operator, changed, as_json=True)
        else:
            name = clean(str(changed.get("name")))
            operator.screen.result(f"{agent_id} is {name} now; {former_id} has ended.")


def decommission(
    context: typer.Context,
    agent: Agent,
    *,
    environment: Environment = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End an agent for good: it leaves the lists, too. This cannot be undone."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        operator.screen.confirm(f"Decommission {agent} ({agent_id})?", yes=yes)
        body = {"note": note} if note else {}
        ended = operator.plane.post("agents", agent_id, "decommission", body=body)
        if as_json:
            show_one(operator, ended, as_json=True)
        else:
            operator.screen.result(f"{agent_id} is decommissioned.")


def tell_machines(operator: Operator, agents: list[dict[str, Any]]) -> None:
    """Say which of a list's agents share a machine with another live one, or may."""
    names = {str(agent.get("agent_id")): str(agent.get(_NAME)) for agent in agents}
    told: set[str] = set()
    for agent in agents:
        others = [str(other) for other in agent.get("same_machine") or []]
        own = str(agent.get("agent_id"))
        if not others or own in told:
            continue
        told |= {own, *others}
        shared = ", ".join(clean(names.get(other, other)) for other in others)
        operator.screen.note(
            f"{clean(names[own])} says that it is on the same machine as {shared}. If one of "
            "them is the re-imaged host: rollcall agent replace NEW --former OLD"
        )
    _tell_crowded(operator, agents)


def _tell_crowded(operator: Operator, agents: list[dict[str, Any]]) -> None:
    crowded = [clean(str(agent.get(_NAME))) for agent in agents if agent.get("machine_crowded")]
    if crowded:
        operator.screen.note(
            f"Too many agents have the machine id of {', '.join(crowded)}: the list above may miss "
            "others. Perhaps the host's image was copied together with its machine id."
        )


def _show_changes(operator: Operator, changes: list[dict[str, Any]]) -> None:
    if not changes:
        operator.screen.note("The facts have not changed since the first ones.")
        return
    columns = [
        Column("AT", "at"),
        Column("FACT", "path"),
        Column("BEFORE", "before"),
        Column("AFTER", "after"),
    ]
    show_rows(operator.screen, columns, changes)


def _flat(value: object, path: str) -> dict[str, object]:
    """Facts as lines: an element of a list goes by its name, where it has one."""
    if isinstance(value, dict) and value:
        members = [(f"{path}.{key}" if path else key, inner) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        members = [
            (f"{path}[{one.get(_NAME, place) if isinstance(one, dict) else place}]", one)
            for place, one in enumerate(value)
        ]
    else:
        return {path: value}
    return {name: leaf for place, inner in members for name, leaf in _flat(inner, place).items()}
