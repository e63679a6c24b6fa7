"""What the agent prints: results on stdout, notes and warnings on stderr, one line each."""

from __future__ import annotations

import sys
from typing import Final, Protocol

LONGEST_TEXT: Final = 300


def clean(text: str, limit: int = LONGEST_TEXT) -> str:
    """Make text that came from outside safe to print.

    A server's words must not move the cursor of a terminal, forge a second log line, or fill a
    disk.
    """
    one_line = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in one_line)
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


class Say(Protocol):
    """Where the agent's lines go."""

    def result(self, line: str) -> None:
        """Say what the command produced."""

    def note(self, line: str) -> None:
        """Say what is going on."""

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""


class Terminal:
    """The process's own streams, flushed line by line because a service's pipe is buffered."""

    def result(self, line: str) -> None:
        """Say what the command produced."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def note(self, line: str) -> None:
        """Say what is going on."""
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""
        self.note(f"warning: {line}")
