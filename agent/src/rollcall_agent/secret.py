"""A credential that cannot be printed by accident."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode

ENROLLMENT_TOKEN_PREFIX: Final = "rce_"  # noqa: S105 - the public part of a token
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.~+/=-]{1,4096}")


@dataclass(frozen=True)
class Secret:
    """A secret string whose text appears in no repr, traceback or log line."""

    _text: str = field(repr=False)

    def __str__(self) -> str:
        return "<secret>"

    def reveal(self) -> str:
        """Return the text, for the one place that sends or stores it."""
        return self._text

    def fingerprint(self) -> str:
        """Return a prefix of the SHA-256 that tells two tokens apart and opens nothing."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:32]


def is_credential(text: str) -> bool:
    """Tell whether ``text`` can stand in a header and in one line of the env file."""
    return _CREDENTIAL.fullmatch(text) is not None


def enrollment_token(raw: str, source: str) -> Secret:
    """Check the shape of an enrollment token before any request is made with it.

    Args:
        raw: What was read, surrounding whitespace included.
        source: Where it came from, for the error line; the text itself is never shown.
    """
    text = raw.strip()
    if not text.startswith(ENROLLMENT_TOKEN_PREFIX) or not is_credential(text):
        raise AgentError(
            f"What {source} holds is not an enrollment token (they start with "
            f"{ENROLLMENT_TOKEN_PREFIX}). Next: ask an operator to mint one.",
            ExitCode.USAGE,
        )
    return Secret(text)
