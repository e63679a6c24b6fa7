"""How the program is entered and left: a documented exit code, whatever was typed or is closed."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import typer

from rollcall_agent.commands.usage import GIVEN_AWAY, USAGE_ERROR, holds_credential, mistake
from rollcall_agent.exits import ExitCode
from rollcall_agent.say import OutputLostError, Say, Terminal


def enter(command: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run a command line, and return the exit code.

    Args:
        command: The typer application, told not to end the process itself.
        arguments: What was typed, to be looked at and never to be shown.
    """
    say = Terminal()
    if holds_credential(arguments):
        return _fail(say, GIVEN_AWAY, ExitCode.USAGE)
    try:
        ended = command()
    except OutputLostError as error:
        return _fail(say, error.line, ExitCode.UNREADY)
    except (KeyboardInterrupt, typer.Abort):
        say.note("Interrupted. Running the same command again is safe.")
        return int(ExitCode.INTERRUPTED)
    except SystemExit as end:
        return _code_of(end)
    except USAGE_ERROR as error:
        return _wrong_usage(say, error, arguments)
    # A command that ends itself with a code is answered with that code, any other with None.
    return ended if isinstance(ended, int) else int(ExitCode.OK)


def make_streams_safe() -> None:
    """Let any text be printed: a path may hold bytes, and a terminal may have a small alphabet."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _wrong_usage(say: Say, error: Exception, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        # Its text is the help.
        say.note(str(getattr(error, "message", "")))
        return int(ExitCode.USAGE)
    return _fail(say, mistake(error, arguments), ExitCode.USAGE)


def _fail(say: Say, line: str, code: ExitCode) -> int:
    say.note(f"error: {line}")
    return int(code)


def _code_of(end: SystemExit) -> int:
    """Return the code of an end that typer chose: with 1 where a reader of its help has gone."""
    cause = end.__context__
    if isinstance(cause, OSError) and cause.errno == errno.EPIPE:
        return int(ExitCode.OK)
    return end.code if isinstance(end.code, int) else int(end.code is not None)
