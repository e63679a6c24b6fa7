"""Texts that came from the host, made fit to be a fact."""

from __future__ import annotations

from typing import Final

LONGEST_FACT: Final = 128
"""The control plane takes no longer text of a host."""


def fact(text: str, longest: int = LONGEST_FACT) -> str:
    """Return one line of printable characters, bounded; empty where nothing is left."""
    one_line = " ".join(text.split())
    return "".join(letter for letter in one_line if letter.isprintable())[:longest].strip()


def known(facts: dict[str, object]) -> dict[str, object]:
    """Leave out what is not known."""
    return {name: value for name, value in facts.items() if value not in (None, "")}
