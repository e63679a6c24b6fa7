"""How a list, one thing, and an answer with a secret are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rollcall_cli.control_plane import Page
from rollcall_cli.exits import usage
from rollcall_cli.private_files import write_private
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


def check_output(output: Path | None) -> None:
    """Prove that a secret can be kept before it is made.

    Raises:
        CliError: it cannot.
    """
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise usage(f"{output} cannot be written: it must be a file in a folder that exists.")
    if output.exists():
        raise usage(f"{output} exists; a secret is not written over something else.")
    try:
        write_private(output, [])
        # If nothing is made after all, the same command can be given again.
        output.unlink()
    except OSError as error:
        raise usage(f"{output} cannot be written ({error.strerror}).") from error


def hand_over(
    operator: Operator,
    answer: dict[str, Any],
    member: str,
    *,
    output: Path | None,
    as_json: bool = False,
    line: Callable[[object], str] | None = None,
) -> Path | None:
    """Give the secret of an answer to whoever asked for it, once.

    On stdout it stands alone, for a script to take; with `output` it is in that file alone.

    Args:
        operator: who asked.
        answer: of the control plane; its `member` is the secret.
        member: that member's name.
        output: where it shall go instead of stdout.
        as_json: print the answer as a document.
        line: print the answer by this, because more will follow.
    """
    secret = str(answer[member])
    rest = {name: value for name, value in answer.items() if name != member}
    if output is not None:
        try:
            write_private(output, [f"{secret}\n".encode()])
        except OSError:
            # It cannot be shown again: better here than lost.
            operator.screen.note(f"warning: {output} cannot be written; the secret follows.")
            output = None
    if as_json or line is not None:
        shown = answer if output is None else rest
        operator.screen.result((line or as_document)(shown))
    elif output is None:
        operator.screen.result(secret)
    else:
        operator.screen.note(f"The secret is in {output} (mode 0600), and nowhere else.")
    return output
