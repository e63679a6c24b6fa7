"""Tables: drawn for a terminal, plain and aligned for a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rollcall_cli.screen import Screen
from rollcall_cli.text import clean

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
_ID: Final = re.compile(r"[a-z]{3}_[0-9a-v]{20}")
_NOTHING: Final = "-"
_FOLDED: Final = 8
_GAP: Final = 3
_COLOURS: Final = {
    "online": "green",
    "active": "green",
    "done": "green",
    "success": "green",
    "late": "yellow",
    "enrolled": "cyan",
    "running": "cyan",
    "queued": "cyan",
    "deleting": "yellow",
    "offline": "red",
    "quarantined": "red",
    "failed": "red",
    "denied": "red",
    "failure": "red",
    "revoked": "dim",
    "expired": "dim",
    "spent": "dim",
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its heading, and where its value comes from."""

    heading: str
    value: str | Callable[[Row], object]

    def of(self, row: Row) -> str:
        """The cell, as one line that is safe to print."""
        found = row.get(self.value) if isinstance(self.value, str) else self.value(row)
        return cell(found)


def cell(value: object) -> str:
    """A JSON value as people read it."""
    if value is None or value in ("", [], {}):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return clean(", ".join(f"{key}={cell(inner)}" for key, inner in value.items()))
    if isinstance(value, list):
        return clean(", ".join(cell(inner) for inner in value))
    text = clean(str(value))
    if (time := _TIME.fullmatch(text)) is not None:
        return f"{time[1]} {time[2]}Z"
    return text


def show_rows(screen: Screen, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a list."""
    cells = [[column.of(row) for column in columns] for row in rows]
    if screen.is_terminal:
        _draw([column.heading for column in columns], cells, screen)
        return
    lines = [[column.heading for column in columns], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        screen.result("  ".join(padded).rstrip())


def show_thing(screen: Screen, thing: Row, *, without: Sequence[str] = ()) -> None:
    """Print one thing, a member a line."""
    shown = {name: value for name, value in thing.items() if name not in without}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        screen.result(f"{clean(name).ljust(width)}  {cell(value)}")


def as_document(value: object) -> str:
    """One JSON document; ASCII, so that nothing in it can steer a terminal."""
    return json.dumps(value, indent=2)


def as_line(value: object) -> str:
    """One line of JSON."""
    return json.dumps(value, separators=(",", ":"))


def _draw(headings: list[str], cells: list[list[str]], screen: Screen) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    least = [_narrowest(column) for column in zip(headings, *cells, strict=True)]
    for heading, width in zip(headings, least, strict=True):
        table.add_column(heading, overflow="fold", min_width=width)
    for line in cells:
        # As Text: what a host calls itself is no markup.
        table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in line))
    console = Console(file=screen.stdout, highlight=False)
    # A narrow terminal folds lines by itself; rich would cut them.
    console.width = max(console.width, sum(least) + _GAP * len(least))
    # Captured: rich would end the process by itself where the terminal is gone.
    with console.capture() as drawn:
        console.print(table)
    screen.result(drawn.get().rstrip("\n"))


def _narrowest(column: Sequence[str]) -> int:
    """How narrow a column may become: an id is copied, so it stays in one piece."""
    whole = max((len(text) for text in column[1:] if _ID.fullmatch(text)), default=0)
    return max(whole, min(_FOLDED, max(len(text) for text in column)))
