"""Invitations: how people join the organization."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import access, surroundings
from rollcall_cli.control_plane import ControlPlane, api_path
from rollcall_cli.exits import usage
from rollcall_cli.handing_over import Undo, place_for_secret
from rollcall_cli.http import Call
from rollcall_cli.lists import show_list, show_one
from rollcall_cli.names import checked_id
from rollcall_cli.options import (
    DEFAULT_LIMIT,
    All,
    AsJson,
    Cursor,
    Limit,
    Note,
    Output,
    Yes,
    pairs,
    seconds,
)
from rollcall_cli.screen import Screen
from rollcall_cli.tables import Column, as_document, cell

SECRET = "invitation"  # noqa: S105 - the name of a member
app = typer.Typer(no_args_is_help=True, help="Invite people, and accept an invitation.")


@app.command()
def create(
    context: typer.Context,
    *,
    role: Annotated[
        str | None, typer.Option(help="In the organization: org_admin, …, viewer.")
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option("--project", "-p", help="project=role; may be repeated."),
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 12h, 7d.")] = "7d",
    note: Note = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Make an invitation. Its secret is shown this once, alone on stdout."""
    if role is None and not project:
        raise usage("Give --role, or --project PROJECT=ROLE, or both.")
    body: dict[str, Any] = {"ttl_seconds": seconds(ttl, "--ttl")}
    if role is not None:
        body["role"] = role
    if note is not None:
        body["note"] = note
    with surroundings.operator(context) as operator:
        roles = pairs(project, "--project")
        if roles:
            body["projects"] = {operator.names.project(key): roles[key] for key in roles}
        with place_for_secret(operator.screen, output) as place:
            made = operator.plane.create("invitations", body=body)
            identifier = str(made.get("invitation_id"))
            undo = Undo(
                identifier,
                lambda: operator.plane.delete("invitations", identifier),
                f"rollcall invite revoke {identifier}",
            )
            place.hand_over(made, SECRET, undo=undo, as_json=as_json)
        if not as_json:
            operator.screen.note(
                f"{made.get('invitation_id')}: until {cell(made.get('expires_at'))}. The secret "
                "is shown this once.\n"
                f"To accept it: rollcall invite accept --url {operator.url}"
            )


@app.command("list")
def list_invitations(
    context: typer.Context,
    *,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List invitations."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page("invitations", most=None if everything else limit, cursor=cursor)
        columns = [
            Column("INVITATION", "invitation_id"),
            Column("STATUS", "status"),
            Column("ROLE", "role"),
            Column("EXPIRES", "expires_at"),
            Column("BY", "invited_by"),
            Column("NOTE", "note"),
        ]
        show_list(operator, page, columns, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    invitation: Annotated[str, typer.Argument(help="Its id (inv_…), never its secret.")],
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End an invitation: no one joins with it any more."""
    with surroundings.operator(context) as operator:
        identifier = checked_id("inv", invitation, "an invitation's id (inv_…)")
        operator.screen.confirm(f"Revoke {identifier}?", yes=yes)
        answer = operator.plane.delete("invitations", identifier)
        operator.screen.result(as_document(answer) if as_json else f"{identifier} is revoked.")


@app.command()
def accept(
    context: typer.Context,
    *,
    url: Annotated[
        str | None, typer.Option(help="The control plane's URL, stage included.")
    ] = None,
    username: Annotated[
        str | None, typer.Option("--username", "-u", help="Of the account to be made.")
    ] = None,
    display_name: Annotated[str | None, typer.Option(help="How others see you.")] = None,
    stdin: Annotated[
        bool,
        typer.Option("--stdin", help="Read invitation and password from stdin, a line each."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Accept an invitation: with a new account (--username), or as who you are logged in."""
    around = surroundings.of(context)
    if username is None:
        with surroundings.operator(context) as operator:
            invitation, _ = _secrets(operator.screen, from_stdin=stdin, password=False)
            answer = _accept(operator.plane, {"invitation": invitation})
            show_one(operator, answer, as_json=as_json)
        return
    base = access.base_url(url, around.environ, around.logins)
    invitation, password = _secrets(around.screen, from_stdin=stdin, password=True)
    body = {"invitation": invitation, "username": username, "password": password}
    if display_name is not None:
        body["display_name"] = display_name
    with around.plane(base, None) as plane:
        answer = _accept(plane, body)
    shown = {name: value for name, value in answer.items() if name != "session"}
    if as_json:
        around.screen.result(as_document(shown))
    else:
        around.screen.result(f"Welcome. Next: rollcall login --url {base} --username {username}")


def _accept(plane: ControlPlane, body: dict[str, Any]) -> dict[str, Any]:
    return plane.send(Call("POST", api_path("invitations", "accept"), body=body), once=True)


def _secrets(screen: Screen, *, from_stdin: bool, password: bool) -> tuple[str, str]:
    """The invitation, and the password of the account to be made."""
    if from_stdin:
        invitation = screen.read_line().strip()
        chosen = screen.read_line().removesuffix("\n").removesuffix("\r")
    elif screen.can_ask:
        invitation = screen.ask_secret("Invitation (rci_…)").strip()
        chosen = screen.ask_secret("Password to be") if password else ""
        if password and screen.ask_secret("The same again") != chosen:
            raise usage("The two passwords differ.")
    else:
        raise usage("There is no terminal to ask at. Next: give --stdin.")
    if not invitation or (password and not chosen):
        raise usage("The invitation or the password is missing.")
    return invitation, chosen
