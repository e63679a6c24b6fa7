"""A wrong command line in one line: no argument is ever repeated, since it may be a token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import typer
from rollcall_client.arguments import credential_in, usage_line

# typer names few of the errors that it raises, and which package defines them changed with its
# versions; that a bad parameter is a usage error did not.
USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__bases__[0]
GIVEN_AWAY: Final = (
    "A token is never given as an argument: other users of this host can read it there. Next: have "
    "it revoked, and give another one with --token-file or --token-stdin."
)
# A whole one: a file may be called like the beginning of a credential.
_CREDENTIAL: Final = re.compile(r"rc[a-z]_[0-9A-Za-z_.-]{60,}")


def holds_credential(arguments: Sequence[str]) -> bool:
    """Tell whether a whole credential stands among the arguments."""
    return any(map(_CREDENTIAL.search, arguments))


def mistake(error: Exception, arguments: Sequence[str]) -> str:
    """Say what typer found wrong, and where to read more.

    Args:
        error: Its usage error. Its text may hold an argument, and is not shown.
        arguments: What was typed, to be looked at and never to be shown.
    """
    is_token = getattr(error, "option_name", "") == "--token"
    if is_token or credential_in(arguments) is not None:
        return GIVEN_AWAY
    return usage_line(error, arguments)
