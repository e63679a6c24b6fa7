"""The options that commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollcall_agent.exits import AgentError, ExitCode

# `readable=False`, here and wherever a path is taken: typer would look at the file before the
# command does, and end with a code that a service manager takes for final.
Config = Annotated[
    Path | None,
    typer.Option(
        help="The env file. Default: ROLLCALL_CONFIG, else /etc/rollcall/agent.env.",
        readable=False,
    ),
]
TokenFile = Annotated[Path | None, typer.Option(help="Read the token from a file.", readable=False)]
Url = Annotated[str | None, typer.Option(help="The control plane's URL, stage included.")]
Timeout = Annotated[float, typer.Option(min=1, max=86400, help="Seconds to keep trying.")]


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read key=value options."""
    found: dict[str, str] = {}
    for text in given or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise AgentError(f"{option} takes key=value.", ExitCode.USAGE)
        found[key] = value
    return found
