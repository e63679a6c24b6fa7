"""What the agent prints: results on stdout, notes and warnings on stderr, one line each."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, Protocol, TextIO

LONGEST_TEXT: Final = 300


def clean(text: str, limit: int = LONGEST_TEXT) -> str:
    """Make text that came from outside safe to print.

    A server's words must not move the cursor of a terminal, forge a second log line, or fill a
    disk.
    """
    one_line = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in one_line)
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


def one_line(text: str) -> str:
    """Make our own text safe to print where it names a path, which may hold any character."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Say(Protocol):
    """Where the agent's lines go."""

    def result(self, line: str) -> None:
        """Say what the command produced."""

    def note(self, line: str) -> None:
        """Say what is going on."""

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""


class OutputLostError(Exception):
    """What a command produced could not be written: the disk below stdout is full, say."""

    def __init__(self, reason: str) -> None:
        self.line = (
            f"Cannot write to stdout: {reason}. What was to be done is done. Next: make room, then "
            "run the same command again; it is safe."
        )
        super().__init__(self.line)


class Terminal:
    """The process's own streams, flushed line by line because a service's pipe is buffered."""

    def result(self, line: str) -> None:
        """Say what the command produced, if anything reads it.

        Raises:
            OutputLostError: It is read, and could not be written.
        """
        try:
            _write(sys.stdout, line)
        except BrokenPipeError:
            _close(sys.stdout)
        except OSError as error:
            _close(sys.stdout)
            raise OutputLostError(error.strerror or type(error).__name__) from error

    def note(self, line: str) -> None:
        """Say what is going on. A log that cannot be written must not stop a heartbeat."""
        with suppress(OSError):
            _write(sys.stderr, line)

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""
        self.note(f"warning: {line}")


def _write(stream: TextIO | None, line: str) -> None:
    # Python has no stream at all where it was closed before the start.
    if stream is not None:
        stream.write(f"{line}\n")
        stream.flush()


def _close(stream: TextIO | None) -> None:
    """Let go of a stream: Python would flush it at its end, and exit with a code of its own."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno() if stream is not None else nothing)
        os.close(nothing)
