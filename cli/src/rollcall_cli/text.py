"""Text that came from outside, made safe to print."""

from __future__ import annotations

from typing import Final

LONGEST_TEXT: Final = 500


def clean(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return one printable line.

    A host says its own name: it must not move the cursor of an operator's terminal, forge a row of
    a table or turn the reading direction.
    """
    one_line = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in one_line)
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


def sentence(text: str) -> str:
    """The text with one full stop at its end, whether or not it came with one."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def counted(number: int, noun: str) -> str:
    """A number of things, as in `1 agent` and `2 agents`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
