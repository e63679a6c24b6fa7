"""Agents: list, show, rename, label, revoke."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.commands.machine import tell_machines
from rollcall_cli.exits import usage
from rollcall_cli.lists import show_list, show_one
from rollcall_cli.options import (
    DEFAULT_LIMIT,
    Agent,
    All,
    AsJson,
    Cursor,
    Environment,
    Limit,
    Note,
    Yes,
)
from rollcall_cli.quarantines import copies_of, why_quarantined
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column

app = typer.Typer(no_args_is_help=True, help="See, change and revoke agents.")


@app.command("list")
def list_agents(
    context: typer.Context,
    *,
    environment: Environment = None,
    status: Annotated[
        str | None,
        typer.Option(help="enrolled, online, late, offline, quarantined, revoked or unknown."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="key=value.")] = None,
    name: Annotated[str | None, typer.Option(help="The beginning of the name.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List agents by name, environment after environment."""
    with surroundings.operator(context) as operator:
        names = operator.names
        page = operator.plane.page(
            "agents",
            most=None if everything else limit,
            cursor=cursor,
            environment=names.environment(environment) if environment else None,
            status=status,
            label=label,
            name=name,
        )
        columns = [
            Column("NAME", "name"),
            Column("AGENT", "agent_id"),
            Column("STATUS", "status"),
            Column("ENVIRONMENT", lambda row: names.title("environments", row.get("environment"))),
            Column("LAST SEEN", "last_seen_at"),
            Column("LABELS", "labels"),
        ]
        show_list(operator, page, columns, as_json=as_json)
        if not as_json:
            tell_machines(operator, page.items)


@app.command()
def show(
    context: typer.Context,
    agent: Agent,
    *,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show an agent."""
    with surroundings.operator(context) as operator:
        found = operator.plane.get("agents", operator.agent_id(agent, environment))
        if not as_json and (why := why_quarantined(found)) is not None:
            found = {**found, "quarantine": why, "copies": copies_of(found)}
        show_one(operator, found, as_json=as_json)


@app.command()
def rename(
    context: typer.Context,
    agent: Agent,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    *,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Give an agent another name."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        changed = operator.plane.patch("agents", agent_id, body={"name": name})
        _say_changed(operator, changed, f"is now called {changed.get('name')}", as_json=as_json)


@app.command()
def label(
    context: typer.Context,
    agent: Agent,
    labels: Annotated[
        list[str], typer.Argument(help="key=value sets a label, key- takes one away.")
    ],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Take all other labels away.")] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Set labels of an agent, or take them away."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        before = {} if replace else operator.plane.get("agents", agent_id).get("labels") or {}
        wanted = changed_labels(before, labels)
        changed = operator.plane.patch("agents", agent_id, body={"labels": wanted})
        _say_changed(operator, changed, "has its labels", as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    agent: Agent,
    *,
    environment: Environment = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End an agent: its next request is refused. This cannot be undone."""
    with surroundings.operator(context) as operator:
        agent_id = operator.agent_id(agent, environment)
        operator.screen.confirm(f"Revoke {agent} ({agent_id})?", yes=yes)
        body = {"note": note} if note else {}
        changed = operator.plane.post("agents", agent_id, "revoke", body=body)
        _say_changed(operator, changed, "is revoked", as_json=as_json)


def changed_labels(before: dict[str, str], changes: list[str]) -> dict[str, str]:
    """The labels after `key=value` and `key-`.

    Raises:
        CliError: a change is neither.
    """
    after = dict(before)
    for change in changes:
        key, separator, value = change.partition("=")
        if separator and key:
            after[key] = value
        elif not separator and len(key) > 1 and key.endswith("-"):
            after.pop(key[:-1], None)
        else:
            raise usage("Labels are set with key=value and taken away with key-.")
    return after


def _say_changed(operator: Operator, agent: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        show_one(operator, agent, as_json=True)
    else:
        operator.screen.result(f"{agent.get('agent_id')} {what}.")
