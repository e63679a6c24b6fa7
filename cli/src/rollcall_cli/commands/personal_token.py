"""My personal API tokens: what a script of mine shows."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcall_cli import surroundings
from rollcall_cli.handing_over import Undo, place_for_secret
from rollcall_cli.lists import show_list
from rollcall_cli.options import (
    DEFAULT_LIMIT,
    All,
    AsJson,
    Cursor,
    Limit,
    Output,
    Scopes,
    Yes,
    seconds,
)
from rollcall_cli.tables import Column, as_document, cell

SECRET = "token"  # noqa: S105 - the name of a member
app = typer.Typer(no_args_is_help=True, help="Make and end your personal API tokens.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Scopes,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 12h, 90d.")] = "90d",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make a personal API token. Its secret is shown this once, alone on stdout."""
    body = {"name": name, "scopes": scope, "ttl_seconds": seconds(ttl, "--ttl")}
    with (
        surroundings.operator(context) as operator,
        place_for_secret(operator.screen, output) as place,
    ):
        made = operator.plane.create("me", "tokens", body=body)
        identifier = str(made.get("personal_token_id"))
        undo = Undo(
            identifier,
            lambda: operator.plane.delete("me", "tokens", identifier),
            f"rollcall personal-token revoke {identifier}",
        )
        place.hand_over(made, SECRET, undo=undo, as_json=as_json)
        if not as_json:
            operator.screen.note(
                f"{made.get('personal_token_id')}: until {cell(made.get('expires_at'))}. "
                "The secret is shown this once."
            )


@app.command("list")
def list_personal_tokens(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List your personal API tokens."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page(
            "me", "tokens", most=None if everything else limit, cursor=cursor
        )
        columns = [
            Column("NAME", "name"),
            Column("TOKEN", "personal_token_id"),
            Column("STATUS", "status"),
            Column("EXPIRES", "expires_at"),
            Column("LAST USED", "last_used_at"),
            Column("SCOPES", "scopes"),
        ]
        show_list(operator, page, columns, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="Name or id (pat_…), never the secret.")],
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a personal API token: its next request is refused."""
    with surroundings.operator(context) as operator:
        identifier = operator.names.personal_token(token)
        operator.screen.confirm(f"Revoke {token} ({identifier})?", yes=yes)
        answer = operator.plane.delete("me", "tokens", identifier)
        operator.screen.result(as_document(answer) if as_json else f"{identifier} is revoked.")
