"""The command line: one line for each command.

Every module of ``commands`` is loaded whichever command runs, so what only one of them needs and
what is heavy (cryptography, rich) is imported inside of that command.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rollcall_agent.commands.decommission import decommission
from rollcall_agent.commands.doctor import doctor
from rollcall_agent.commands.enroll import enroll
from rollcall_agent.commands.entry import enter, make_streams_safe
from rollcall_agent.commands.run import run
from rollcall_agent.commands.service import service
from rollcall_agent.commands.status import status
from rollcall_agent.commands.upgrade import upgrade
from rollcall_agent.commands.upload import upload
from rollcall_agent.commands.version import version

# A traceback with local variables would print the very secrets that Secret hides.
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(value: bool) -> None:
    if value:
        version()
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Enroll this host with a Rollcall control plane and keep it present."""


app.command()(enroll)
app.command()(run)
app.command()(upload)
app.command()(status)
app.command()(doctor)
app.command()(decommission)
app.command()(upgrade)
app.add_typer(service, name="service")
app.command()(version)


def main() -> None:
    """Enter the agent from the console script."""
    make_streams_safe()
    sys.exit(enter(lambda: app(prog_name="rollcall-agent", standalone_mode=False), sys.argv[1:]))
