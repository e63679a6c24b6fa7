"""How a command ends: one line where something fails, and the documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rollcall_agent.exits import AgentError, ExitCode, RestartRequestedError
from rollcall_agent.say import Say, Terminal, one_line


@contextmanager
def telling() -> Iterator[Say]:
    """End the command with one line and the documented exit code where something fails."""
    say = Terminal()
    try:
        yield say
    except AgentError as error:
        say.note(f"error: {one_line(error.line)}")
        raise typer.Exit(error.exit_code) from error
    except RestartRequestedError as restart:
        from rollcall_agent.restart import start_again  # noqa: PLC0415 - seldom needed

        say.note(restart.line)
        start_again(os.environ, sys.argv[1:])
        raise typer.Exit(ExitCode.RESTART) from restart
    except KeyboardInterrupt as error:
        say.note("Interrupted. Running the same command again is safe.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
