"""The options that many commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from rollcall_cli.completion import complete_agent, complete_environment
from rollcall_cli.exits import usage

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON: exactly the members that the API answers.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Environment = Annotated[
    str | None,
    typer.Option("--environment", "-e", help="Name or id.", autocompletion=complete_environment),
]
Agent = Annotated[str, typer.Argument(help="An agent's name or id.", autocompletion=complete_agent)]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
All = Annotated[bool, typer.Option("--all", help="All of them, however many.")]
Cursor = Annotated[
    str | None, typer.Option(help="Where an earlier answer's next_cursor says it goes on.")
]
Note = Annotated[str | None, typer.Option(help="Why, for people; part of the evidence.")]
Scopes = Annotated[
    list[str], typer.Option("--scope", "-s", help="As in agents:read; may be repeated.")
]
Output = Annotated[
    Path | None,
    typer.Option(help="Put the secret into this new file (mode 0600) instead of stdout."),
]
Timeout = Annotated[float, typer.Option(min=1, max=86_400, help="Seconds to wait.")]

DEFAULT_LIMIT: Final = 100
_DURATION: Final = re.compile(r"(\d{1,9})([smhdw]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(text: str, option: str) -> int:
    """Read a length of time such as `90`, `15m`, `12h`, `30d`.

    Raises:
        CliError: it is none.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise usage(f"{option} must be a length of time: 90, 15m, 12h, 30d.")
    return int(found[1]) * _UNITS[found[2]]


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read key=value options.

    Raises:
        CliError: one is none.
    """
    found: dict[str, str] = {}
    for text in given or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise usage(f"{option} must be key=value.")
        found[key] = value
    return found
