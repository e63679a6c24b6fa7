"""Where an enrollment token may come from: never from the command line, which everybody can see."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, TextIO

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import advice, is_widely_readable
from rollcall_agent.say import Say
from rollcall_agent.secret import ENROLLMENT_TOKEN_PREFIX, Secret, enrollment_token
from rollcall_agent.settings import IDEMPOTENCY_KEY, TOKEN, Settings, token_text

LARGEST_FILE: Final = 64 * 1024


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
        return _from_stdin(stdin)
    token = settings.token()
    if token is None:
        raise _no_token(settings)
    return token


def _from_stdin(stdin: TextIO | None) -> Secret:
    # Python has no stdin at all where it was closed before the start.
    source = stdin or sys.stdin
    if source is None:
        raise AgentError("stdin is closed, so there is no token in it.", ExitCode.USAGE)
    # Its bytes, where it has some: a byte-order mark and UTF-16 do not survive as text.
    below = getattr(source, "buffer", None)
    size = LARGEST_FILE + 1
    content = source.read(size).encode() if below is None else below.read(size)
    return _read(content, "stdin")


def _from_file(path: Path, say: Say) -> Secret:
    if path.name.startswith(ENROLLMENT_TOKEN_PREFIX):
        # It is not repeated: it is a token that stands where the name of its file belongs.
        raise AgentError(
            "--token-file takes the name of a file, not a token. Next: write the token to a file, "
            "or give it with --token-stdin.",
            ExitCode.USAGE,
        )
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        never = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        raise AgentError(
            f"Cannot read {path}: {error.strerror}. Next: name a file that holds the token.",
            ExitCode.USAGE if never else ExitCode.UNREADY,
        ) from error
    if is_widely_readable(path):
        say.warn(f"{path} can be read by others. Next: {advice(path)}, or delete it after use")
    return _read(content, str(path))


def _read(content: bytes, source: str) -> Secret:
    if len(content) > LARGEST_FILE:
        raise AgentError(f"{source} is too large to hold a token alone.", ExitCode.USAGE)
    return enrollment_token(token_text(content, source), source)


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
