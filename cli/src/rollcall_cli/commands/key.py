"""Organization keys: what machines of the organization show."""

from __future__ import annotations

from typing import Annotated, Any

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
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column, as_document, cell

SECRET = "organization_key"  # noqa: S105 - the name of a member
app = typer.Typer(no_args_is_help=True, help="Make, rotate and revoke organization keys.")
Key = Annotated[str, typer.Argument(help="Name or id (key_…), never the secret.")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Scopes,
    ttl: Annotated[
        str | None, typer.Option(help="How long it is good for: 12h, 365d. Default: no end.")
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make an organization key. Its secret is shown this once, alone on stdout."""
    body: dict[str, Any] = {"name": name, "scopes": scope}
    if ttl is not None:
        body["ttl_seconds"] = seconds(ttl, "--ttl")
    with (
        surroundings.operator(context) as operator,
        place_for_secret(operator.screen, output) as place,
    ):
        made = operator.plane.create("organization-keys", body=body)
        identifier = str(made.get("organization_key_id"))
        undo = Undo(
            identifier,
            lambda: operator.plane.delete("organization-keys", identifier),
            f"rollcall key revoke {identifier}",
        )
        place.hand_over(made, SECRET, undo=undo, as_json=as_json)
        if not as_json:
            _explain(operator, made)


@app.command("list")
def list_keys(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List organization keys."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page(
            "organization-keys", most=None if everything else limit, cursor=cursor
        )
        columns = [
            Column("NAME", "name"),
            Column("KEY", "organization_key_id"),
            Column("STATUS", "status"),
            Column("EXPIRES", "expires_at"),
            Column("LAST USED", "last_used_at"),
            Column("SCOPES", "scopes"),
        ]
        show_list(operator, page, columns, as_json=as_json)


@app.command()
def rotate(
    context: typer.Context,
    key: Key,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the old secret goes on: 0s, 1h, 7d.")
    ] = "1d",
    output: Output = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give a key another secret; the old one goes on for the overlap."""
    body = {"overlap_seconds": seconds(overlap, "--overlap")}
    with surroundings.operator(context) as operator:
        identifier = operator.names.key(key)
        question = f"Rotate {key} ({identifier})? The old secret ends after {overlap}."
        operator.screen.confirm(question, yes=yes)
        with place_for_secret(operator.screen, output) as place:
            made = operator.plane.create("organization-keys", identifier, "rotate", body=body)
            # The new secret cannot be ended alone, and its key is in use.
            lost = (
                f"The new secret of {identifier} reached no one; the old one ends after {overlap}. "
                f"Next: rollcall key rotate {identifier}"
            )
            place.hand_over(made, SECRET, undo=Undo(identifier, None, lost), as_json=as_json)
        if made.get("ended_secret_early"):
            operator.screen.note(
                "warning: the secret before the last one was still valid; it has ended."
            )
        if not as_json:
            _explain(operator, made)


@app.command()
def revoke(context: typer.Context, key: Key, *, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a key: its next request is refused."""
    with surroundings.operator(context) as operator:
        identifier = operator.names.key(key)
        operator.screen.confirm(f"Revoke {key} ({identifier})?", yes=yes)
        answer = operator.plane.delete("organization-keys", identifier)
        operator.screen.result(as_document(answer) if as_json else f"{identifier} is revoked.")


def _explain(operator: Operator, made: dict[str, Any]) -> None:
    ends = made.get("expires_at")
    until = f"until {cell(ends)}" if ends else "without an end"
    operator.screen.note(
        f"{made.get('organization_key_id')}: {until}. The secret is shown this once."
    )
