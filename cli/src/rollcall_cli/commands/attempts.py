"""The flight recorder: hosts that tried to enroll and were refused."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall_cli import surroundings
from rollcall_cli.lists import show_list
from rollcall_cli.names import token_id
from rollcall_cli.options import DEFAULT_LIMIT, All, AsJson, Cursor, Environment, Limit
from rollcall_cli.tables import Column, Row


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("attempts")(attempts)


def attempts(
    context: typer.Context,
    *,
    environment: Environment = None,
    token: Annotated[str | None, typer.Option(help="Only those of this token (tok_…).")] = None,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List refused attempts to enroll, newest first within each environment."""
    with surroundings.operator(context) as operator:
        names = operator.names
        page = operator.plane.page(
            "agent-enrollment",
            "attempts",
            most=None if everything else limit,
            cursor=cursor,
            environment=names.environment(environment) if environment else None,
            enrollment_token_id=token_id(token) if token else None,
        )
        columns = [
            Column("TIME", "time"),
            Column("REASON", "reason"),
            Column("COUNT", "count"),
            Column("FROM", "source_address"),
            Column("CLAIMS", claims),
            Column("ENVIRONMENT", lambda row: names.title("environments", row.get("environment"))),
            Column("TOKEN", "enrollment_token_id"),
        ]
        show_list(operator, page, columns, as_json=as_json)


def claims(row: Row) -> str:
    """What the host said of itself, as short as it goes."""
    said = row.get("claimed") or {}
    name, hostname = said.get("name"), said.get("hostname")
    parts = [name, hostname if hostname != name else None, said.get("os"), said.get("arch")]
    return " ".join(str(part) for part in parts if part)
