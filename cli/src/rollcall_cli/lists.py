"""How a list and one thing are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollcall_cli.control_plane import Page
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column, as_document, show_rows, show_thing


def show_list(operator: Operator, page: Page, columns: Sequence[Column], *, as_json: bool) -> None:
    """Print a list, and say so where there is more of it."""
    if as_json:
        operator.screen.result(as_document(page.document()))
        return
    if not page.items:
        operator.screen.note(f"No {page.name.replace('_', ' ')}.")
        return
    show_rows(operator.screen, columns, page.items)
    if page.next_cursor:
        operator.screen.note("There are more: --all, or a larger --limit, shows them.")


def show_one(operator: Operator, thing: dict[str, Any], *, as_json: bool) -> None:
    """Print one thing."""
    if as_json:
        operator.screen.result(as_document(thing))
    else:
        show_thing(operator.screen, thing)
