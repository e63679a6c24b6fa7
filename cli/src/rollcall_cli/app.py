"""The command line: puts the groups together, and maps every failure to lines and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

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
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.options import AsJson
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


@app.callback()
def _root(
    context: typer.Context,
    patience: Annotated[
        float,
        typer.Option(
            "--patience",
            min=0,
            max=3600,
            help="Seconds to keep trying while the control plane cannot answer.",
        ),
    ] = PATIENCE_SECONDS,
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
    around = around or Surroundings()
    try:
        app(args=arguments, prog_name="rollcall", obj=around)
    except CliError as error:
        around.screen.note(f"error: {error.line}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception:  # noqa: BLE001 - so that a script tells a defect from a refusal
        traceback.print_exc()
        sys.exit(ExitCode.DEFECT)
