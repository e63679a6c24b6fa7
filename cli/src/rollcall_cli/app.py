"""The command line: puts the groups together, and maps every failure to lines and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, cast

import typer
from rollcall_client.arguments import credential_in, usage_line

from rollcall_cli import __version__, surroundings
from rollcall_cli.commands import (
    agent,
    agent_life,
    attempts,
    audit,
    environment,
    invite,
    job,
    key,
    login,
    machine,
    member,
    personal_token,
    places,
    session,
    token,
    watch,
)
from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.options import AsJson
from rollcall_cli.screen import OutputError
from rollcall_cli.surroundings import PATIENCE_SECONDS, Surroundings
from rollcall_cli.tables import as_document

# A traceback with local variables would print the very secrets that Secret hides.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

login.add_to(app)
places.add_to(app)
agent.app.command("watch")(watch.watch)
machine.add_to(agent.app)
agent_life.add_to(agent.app)
app.add_typer(token.app, name="token")
app.add_typer(agent.app, name="agent")
app.add_typer(environment.app, name="environment")
attempts.add_to(app)
audit.add_to(app)
app.add_typer(job.app, name="job")
app.add_typer(session.app, name="session")
app.add_typer(personal_token.app, name="personal-token")
app.add_typer(key.app, name="key")
app.add_typer(member.app, name="member")
app.add_typer(invite.app, name="invite")


# All errors of the command line are of this class, whichever click typer carries.
_UsageError: type[Exception] = cast(
    "type[Exception]",
    next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"),
)
_BY_ENVIRONMENT = "give another one by ROLLCALL_CREDENTIAL"
_WHERE_TO = {
    "an enrollment token": "give another one to `rollcall-agent enroll --token-stdin` on the host",
    "an invitation": "give another one to `rollcall invite accept`, which asks for it",
}
_COMPLETING = "_ROLLCALL_COMPLETE"
# The line that is being completed: bash, and other shells.
_WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS", "_TYPER_COMPLETE_WORD_TO_COMPLETE")


def _print_version(context: typer.Context, value: bool) -> None:
    if value:
        surroundings.of(context).screen.result(__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    patience: Annotated[
        float,
        typer.Option(
            "--patience",
            min=0,
            max=3600,
            help="Seconds to keep trying while the control plane cannot answer.",
        ),
    ] = PATIENCE_SECONDS,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Operate a Rollcall control plane: tokens, agents, people, evidence."""
    context.obj = replace(surroundings.of(context), patience=patience)


@app.command()
def version(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Print this command's version."""
    shown = as_document({"version": __version__}) if as_json else __version__
    surroundings.of(context).screen.result(shown)


def main(arguments: Sequence[str] | None = None, around: Surroundings | None = None) -> None:
    """Enter from the console script.

    Args:
        arguments: the command line; the process's own if left out.
        around: what a test puts in the place of the process's surroundings.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if around is None and _COMPLETING in os.environ:
        sys.exit(_complete(given))
    if around is None:
        _hold_standard_descriptors()
    around = around or Surroundings()
    try:
        exit_code = _run(given, around)
    except OutputError as error:
        if error.exit_code is not ExitCode.PIPE_CLOSED:
            around.screen.note(f"error: {error.line}")
        exit_code = error.exit_code
    except CliError as error:
        around.screen.note(f"error: {error.line}")
        exit_code = error.exit_code
    except KeyboardInterrupt:
        exit_code = ExitCode.INTERRUPTED
    except OSError as error:
        # Of a file or of stdout; what the network raises has been told as the lack of an answer.
        around.screen.give_up_output()
        around.screen.note(f"error: {_file_error(error)}")
        exit_code = ExitCode.LOCAL_FAILURE
    except Exception:  # noqa: BLE001 - so that a script tells a defect from a refusal
        traceback.print_exc()
        exit_code = ExitCode.DEFECT
    sys.exit(exit_code)


def _run(given: list[str], around: Surroundings) -> int:
    """Run the command line, and return its exit code.

    Raises:
        CliError: it is wrong, or the command failed.
    """
    _check_arguments(given)
    try:
        ended = app(args=given, prog_name="rollcall", obj=around, standalone_mode=False)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            around.screen.note(str(error))
            return ExitCode.USAGE
        raise usage(usage_line(error, given)) from None
    except typer.Abort:
        raise usage("Nothing was entered.") from None
    except SystemExit:
        # Where stdout is a pipe that nothing reads, typer ends the process by itself.
        around.screen.give_up_output()
        return ExitCode.PIPE_CLOSED
    return ended if isinstance(ended, int) else ExitCode.OK


def _check_arguments(given: Sequence[str]) -> None:
    """Refuse what must never be sent or shown, before the command line is taken apart.

    Raises:
        CliError: there is a credential in it, or something that is no text.
    """
    family = credential_in(given)
    if family is not None:
        raise usage(
            f"The command line holds what looks like {family}: nothing was done. Others on this "
            f"machine can read it there, and a shell keeps it. Next: have it revoked; "
            f"{_WHERE_TO.get(family, _BY_ENVIRONMENT)}. What only has such a name goes by its id."
        )
    if any(not text.isascii() and _is_broken(text) for text in given):
        raise usage("An argument is no text in this machine's encoding.")


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _complete(given: list[str]) -> int:
    """Answer a shell; what goes wrong is silence, because a person is in the middle of a line."""
    if credential_in(os.environ.get(words, "") for words in _WORDS) is not None:
        return ExitCode.OK
    try:
        app(args=given, prog_name="rollcall", standalone_mode=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - a shell shows whatever is printed
        return ExitCode.OK
    return ExitCode.OK


def _hold_standard_descriptors() -> None:
    """Occupy those of the first three that are closed: a connection must not become stdout."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _file_error(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    if error.filename is None:
        what = "stdout" if error.errno in {errno.EBADF, errno.ENOSPC, errno.EIO} else "A file"
        return f"{what} cannot be written: {reason}."
    return f"{error.filename} cannot be used: {reason}."
