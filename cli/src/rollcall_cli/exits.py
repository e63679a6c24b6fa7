"""The exit codes that scripts may rely on, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the script that started it."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_LOGGED_IN = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    TIMED_OUT = 6
    ENDED_BADLY = 7
    DEFECT = 70
    LOCAL_FAILURE = 74
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CliError(Exception):
    """A failure that is told to the user and ends the command with its code.

    Args:
        line: what happened, and what to do next.
        exit_code: the process's exit code.
        code: the control plane's own code, where it was its refusal.
        body: the refusal's other members.
    """

    def __init__(
        self,
        line: str,
        exit_code: ExitCode,
        *,
        code: str | None = None,
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(line)
        self.line = line
        self.exit_code = exit_code
        self.code = code
        self.body = body or {}


def usage(line: str) -> CliError:
    """A command that cannot mean anything; nothing was sent."""
    return CliError(line, ExitCode.USAGE)
