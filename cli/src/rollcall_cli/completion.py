"""Completion of names. It never blocks a shell for long and never prints an error."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import typer

from rollcall_cli.control_plane import ControlPlane
from rollcall_cli.screen import Screen
from rollcall_cli.text import clean

LONGEST_SECONDS: Final = 1.5
_MOST: Final = 50


def complete_environment(context: typer.Context, incomplete: str) -> list[str]:
    """The environments whose names begin so."""
    return _names(context, incomplete, lambda plane: plane.page("environments", most=100).items)


def complete_project(context: typer.Context, incomplete: str) -> list[str]:
    """The projects whose names begin so."""
    return _names(context, incomplete, lambda plane: plane.page("projects", most=100).items)


def complete_agent(context: typer.Context, incomplete: str) -> list[str]:
    """The living agents whose names begin so."""

    def agents(plane: ControlPlane) -> list[dict[str, Any]]:
        page = plane.page("agents", most=_MOST, name=incomplete or None)
        return [row for row in page.items if row.get("status") != "revoked"]

    return _names(context, incomplete, agents)


def _names(
    context: typer.Context,
    incomplete: str,
    ask: Callable[[ControlPlane], list[dict[str, Any]]],
) -> list[str]:
    """Ask in a thread that is left behind when it takes too long: a name's lookup has no bound."""
    found: list[str] = []

    def look() -> None:
        # Whatever goes wrong: a person in the middle of a line wants no message.
        with suppress(Exception):
            found.extend(clean(str(row["name"]), 64) for row in _rows(context, ask))

    worker = threading.Thread(target=look, daemon=True)
    worker.start()
    worker.join(LONGEST_SECONDS)
    return sorted({name for name in list(found) if name.startswith(incomplete)})[:_MOST]


def _rows(
    context: typer.Context, ask: Callable[[ControlPlane], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    # Imported here: the commands' options name the functions above.
    from rollcall_cli import surroundings  # noqa: PLC0415

    silent = Screen(io.StringIO(), io.StringIO(), io.StringIO())
    around = replace(surroundings.of(context), screen=silent, patience=0.0)
    with surroundings.operator_of(around) as operator:
        return ask(operator.plane)
