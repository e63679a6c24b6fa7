"""A credential that cannot be printed by accident."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from rollcall_cli.exits import usage

SESSION_PREFIX: Final = "rcs_"
PERSONAL_TOKEN_PREFIX: Final = "rcp_"  # noqa: S105 - the public part of a credential
ORGANIZATION_KEY_PREFIX: Final = "rco_"
_FAMILIES: Final = (SESSION_PREFIX, PERSONAL_TOKEN_PREFIX, ORGANIZATION_KEY_PREFIX)
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.~+/=-]{1,4096}")


@dataclass(frozen=True)
class Secret:
    """A secret string whose text appears in no repr, traceback or log line."""

    _text: str = field(repr=False)

    def __str__(self) -> str:
        return "<secret>"

    def reveal(self) -> str:
        """Return the text, for the one place that sends, stores or hands it over."""
        return self._text


def operator_credential(raw: str, source: str) -> Secret:
    """Check the shape of an operator's credential before any request is made with it.

    Args:
        raw: what was read, surrounding whitespace included.
        source: where it came from, for the error line; the text itself is never shown.

    Raises:
        CliError: it is none.
    """
    text = raw.strip()
    if not text.startswith(_FAMILIES) or _CREDENTIAL.fullmatch(text) is None:
        raise usage(
            f"What {source} holds is no credential of an operator: they start with "
            f"{PERSONAL_TOKEN_PREFIX} (personal API token) or {ORGANIZATION_KEY_PREFIX} "
            "(organization key)."
        )
    return Secret(text)
