"""Logging in and out, and who one is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import access, surroundings
from rollcall_cli.control_plane import api_path
from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.handing_over import Undo
from rollcall_cli.http import Call
from rollcall_cli.logins import CREDENTIAL, Login
from rollcall_cli.names import Names, is_id
from rollcall_cli.options import AsJson
from rollcall_cli.secret import Secret
from rollcall_cli.surroundings import Surroundings
from rollcall_cli.tables import as_document, show_thing

SESSION = "session"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("whoami")(whoami)
    app.command("switch")(switch)


def login(
    context: typer.Context,
    *,
    url: Annotated[
        str | None, typer.Option(help="The control plane's URL, stage included.")
    ] = None,
    username: Annotated[str | None, typer.Option("--username", "-u")] = None,
    organization: Annotated[
        str | None, typer.Option(help="Name or id; needed only where you belong to several.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Log in with username and password; the session is kept for 24 hours."""
    around = surroundings.of(context)
    base = access.base_url(url, around.environ, around.logins)
    around.logins.check_writable()
    password = _password_of_stdin(around) if password_stdin else None
    if (username is None or password is None) and not around.screen.can_ask:
        raise usage("There is no terminal to ask at. Next: give --username and --password-stdin.")
    username = username or around.screen.ask(f"Username at {base}")
    if password is None:
        password = around.screen.ask_secret(f"Password of {username}")
    body: dict[str, Any] = {"username": username, "password": password, "cookie": False}
    by_id = organization is not None and is_id("org", organization)
    if by_id:
        body["organization"] = organization
    with around.plane(base, None) as plane:
        answer = plane.send(Call("POST", api_path("auth", "login"), body=body))
    _keep(around, base, answer, username)
    if organization is not None and not by_id:
        answer = _switched(around, base, organization) or answer
    _say(around, "Logged in", answer, as_json=as_json)


def logout(context: typer.Context, *, as_json: AsJson = False) -> None:
    """End the session, here and at the control plane."""
    around = surroundings.of(context)
    url = access.base_url(None, around.environ, around.logins)
    found = around.logins.find(url)
    answer: dict[str, Any] = {}
    if found is not None:
        # First what others at this machine could use; the control plane ends it by itself, later.
        around.logins.forget(url)
        answer = _end(around, url, found)
    if as_json:
        around.screen.result(as_document(answer))
    elif found is None:
        around.screen.note(f"Not logged in at {url}.")
    else:
        around.screen.note(f"Logged out at {url}.")


def _end(around: Surroundings, url: str, found: Login) -> dict[str, Any]:
    with around.plane(url, found.session) as plane:
        try:
            return plane.post("auth", "logout")
        except CliError as error:
            if error.exit_code is not ExitCode.NOT_LOGGED_IN:
                raise
            return {}


def whoami(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show who you are to the control plane."""
    with surroundings.operator(context) as operator:
        me = operator.plane.get("me")
        if as_json:
            operator.screen.result(as_document(me))
        else:
            show_thing(operator.screen, {"url": operator.url, **me})


def switch(
    context: typer.Context,
    organization: Annotated[str, typer.Argument(help="Name or id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Work in another of your organizations from now on."""
    around = surroundings.of(context)
    if around.environ.get(CREDENTIAL):
        raise usage(f"{CREDENTIAL} is bound to its organization. Next: unset it, and log in.")
    url = access.base_url(None, around.environ, around.logins)
    answer = _switched(around, url, organization)
    if answer is None:
        around.screen.note("You are in that organization already.")
        return
    _say(around, "Switched", answer, as_json=as_json)


def _switched(around: Surroundings, url: str, organization: str) -> dict[str, Any] | None:
    """Bind the session to another organization; None where it is that one's already."""
    found = around.logins.find(url)
    if found is None:
        access.find_access(around.environ, around.logins)  # says what to do
        return None
    around.logins.check_writable()
    with around.plane(url, found.session) as plane:
        wanted = Names(plane).organization(organization)
        if wanted == found.organization:
            return None
        answer = plane.create("auth", "switch", body={"organization": wanted})
    _keep(around, url, answer, found.username)
    return answer


def _keep(around: Surroundings, url: str, answer: dict[str, Any], username: str | None) -> None:
    secret = answer.get(SESSION)
    if not isinstance(secret, str):
        raise CliError(
            "The answer holds no session. Next: check the URL, its stage included.",
            ExitCode.UNREACHABLE,
        )
    made = Login(
        url,
        Secret(secret),
        username=username,
        organization=_text(answer, "organization"),
        expires_at=_text(answer, "session_expires_at"),
    )
    try:
        around.logins.keep(made)
    except CliError as error:
        undo = Undo("The session", lambda: _end(around, url, made), "rollcall session list")
        raise CliError(f"{error.line}\n{undo.do()}", ExitCode.LOCAL_FAILURE) from error


def _say(around: Surroundings, what: str, answer: dict[str, Any], *, as_json: bool) -> None:
    shown = {name: value for name, value in answer.items() if name != SESSION}
    if as_json:
        around.screen.result(as_document(shown))
    else:
        around.screen.note(f"{what}.")
        show_thing(around.screen, shown)


def _password_of_stdin(around: Surroundings) -> str:
    text = around.screen.read_all()
    # The line's end is the shell's; all else may be part of the password.
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise usage("stdin holds no password.")
    return password


def _text(answer: dict[str, Any], name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) else None
