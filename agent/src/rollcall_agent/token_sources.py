"""Where an enrollment token may come from: never from the command line, which everybody can see."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, TextIO

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import advice, is_widely_readable
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret, enrollment_token
from rollcall_agent.settings import IDEMPOTENCY_KEY, TOKEN, Settings

LARGEST_TOKEN: Final = 8192


def find_token(
    settings: Settings,
    say: Say,
    *,
    token_file: Path | None = None,
    from_stdin: bool = False,
    stdin: TextIO | None = None,
) -> Secret:
    """Return the enrollment token: option first, then the environment, then the env file."""
    if token_file is not None and from_stdin:
        raise AgentError("Give --token-file or --token-stdin, not both.", ExitCode.USAGE)
    if token_file is not None:
        return _from_file(token_file, say)
    if from_stdin:
        return enrollment_token((stdin or sys.stdin).read(LARGEST_TOKEN), "stdin")
    token = settings.token()
    if token is None:
        raise _no_token(settings)
    return token


def _from_file(path: Path, say: Say) -> Secret:
    try:
        with path.open("r", encoding="utf-8", errors="replace") as file:
            raw = file.read(LARGEST_TOKEN)
    except OSError as error:
        raise AgentError(f"Cannot read {path}: {error.strerror}.", ExitCode.USAGE) from error
    if is_widely_readable(path):
        say.warn(f"{path} can be read by others. Next: {advice(path)}, or delete it after use")
    return enrollment_token(raw, str(path))


def _no_token(settings: Settings) -> AgentError:
    how = f"--token-file, --token-stdin, or {TOKEN} in the environment or in {settings.path}"
    if settings.file.get(IDEMPOTENCY_KEY) is not None:
        return AgentError(
            f"An interrupted enrollment needs its token once more. Next: give it with {how}.",
            ExitCode.NOT_ENROLLED,
        )
    return AgentError(
        f"This host is not enrolled and there is no enrollment token. Next: have one minted and "
        f"give it with {how}.",
        ExitCode.NOT_ENROLLED,
    )
