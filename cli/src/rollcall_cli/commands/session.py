"""My sessions: where I am logged in."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall_cli import surroundings
from rollcall_cli.exits import usage
from rollcall_cli.lists import show_list
from rollcall_cli.names import checked_id
from rollcall_cli.options import DEFAULT_LIMIT, All, AsJson, Cursor, Limit, Yes
from rollcall_cli.tables import Column, as_document

app = typer.Typer(no_args_is_help=True, help="See where you are logged in, and log out there.")


@app.command("list")
def list_sessions(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List your sessions."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page(
            "me", "sessions", most=None if everything else limit, cursor=cursor
        )
        columns = [
            Column("SESSION", "session_id"),
            Column("CURRENT", "current"),
            Column("ORGANIZATION", "organization"),
            Column("CREATED", "created_at"),
            Column("EXPIRES", "expires_at"),
            Column("FROM", "source_address"),
            Column("WITH", "user_agent"),
        ]
        show_list(operator, page, columns, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    session: Annotated[str | None, typer.Argument(help="A session's id (ses_…).")] = None,
    *,
    others: Annotated[bool, typer.Option("--others", help="All but this one.")] = False,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="All, this one too.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a session, or log out everywhere."""
    if sum((session is not None, others, everywhere)) != 1:
        raise usage("Give a session's id, or --others, or --everywhere.")
    with surroundings.operator(context) as operator:
        if session is not None:
            identifier = checked_id("ses", session, "a session's id (ses_…)")
            operator.screen.confirm(f"End {identifier}?", yes=yes)
            answer = operator.plane.delete("me", "sessions", identifier)
            said = f"{identifier} is revoked."
        else:
            which = "all your other sessions" if others else "all your sessions, this one too"
            operator.screen.confirm(f"End {which}?", yes=yes)
            answer = operator.plane.post("me", "sessions", "revoke", body={"keep_current": others})
            said = "You are logged out everywhere else." if others else "You are logged out."
        operator.screen.result(as_document(answer) if as_json else said)
