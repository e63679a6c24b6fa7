"""Organizations, projects and environments, as far as this credential sees them."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall_cli import surroundings
from rollcall_cli.completion import complete_project
from rollcall_cli.lists import show_list
from rollcall_cli.options import DEFAULT_LIMIT, All, AsJson, Cursor, Limit
from rollcall_cli.tables import Column


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("organizations")(organizations)
    app.command("projects")(projects)
    app.command("environments")(environments)


def organizations(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List the organizations that you belong to."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page(
            "organizations", most=None if everything else limit, cursor=cursor
        )
        columns = [
            Column("NAME", "name"),
            Column("ORGANIZATION", "organization_id"),
            Column("ROLE", "role"),
            Column("STATUS", "status"),
        ]
        show_list(operator, page, columns, as_json=as_json)


def projects(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List projects."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page("projects", most=None if everything else limit, cursor=cursor)
        columns = [
            Column("NAME", "name"),
            Column("PROJECT", "project_id"),
            Column("STATUS", "status"),
            Column("CREATED", "created_at"),
        ]
        show_list(operator, page, columns, as_json=as_json)


def environments(
    context: typer.Context,
    *,
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="Name or id.", autocompletion=complete_project),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List environments."""
    with surroundings.operator(context) as operator:
        names = operator.names
        page = operator.plane.page(
            "environments",
            most=None if everything else limit,
            cursor=cursor,
            project=names.project(project) if project else None,
        )
        columns = [
            Column("NAME", "name"),
            Column("ENVIRONMENT", "environment_id"),
            Column("PROJECT", lambda row: names.title("projects", row.get("project"))),
            Column("HEARTBEAT", "heartbeat_interval_seconds"),
            Column("STATUS", "status"),
        ]
        show_list(operator, page, columns, as_json=as_json)
