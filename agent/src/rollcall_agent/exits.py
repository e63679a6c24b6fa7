"""The exit codes that scripts and service units may rely on, and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to whoever started it."""

    OK = 0
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_PERSISTED = 5
    IDENTITY_ENDED = 6
    NOT_ENROLLED = 7
    BUSY = 8
    DOCTOR = 9
    # Not final for a service manager: a full disk, or a mount that comes late, gets better.
    UNREADY = 10
    # EX_TEMPFAIL: the service manager starts the version that lies there now.
    RESTART = 75
    INTERRUPTED = 130


class AgentError(Exception):
    """A failure that is told to the user in one line and ends the command with its code."""

    def __init__(self, line: str, exit_code: ExitCode) -> None:
        super().__init__(line)
        self.line = line
        self.exit_code = exit_code


class RestartRequestedError(Exception):
    """The binary was exchanged: the process ends so that the service manager starts the other."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line
