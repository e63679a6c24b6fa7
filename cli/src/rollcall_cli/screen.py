"""What a command prints and asks: results on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import getpass
import io
import os
import select
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, TextIO

from rollcall_cli.exits import CliError, ExitCode, usage


class ClosedStream(io.TextIOBase):
    """What stands for a stream that the process was started without (`>&-`)."""

    def read(self, _: int | None = -1) -> str:
        """Refuse."""
        raise OSError(errno.EBADF, "it is closed")

    def readline(self, _: int = -1) -> str:  # type: ignore[override]
        """Refuse."""
        raise OSError(errno.EBADF, "it is closed")

    def write(self, _: str) -> int:
        """Refuse."""
        raise OSError(errno.EBADF, "it is closed")


class OutputError(CliError):
    """stdout does not take what a command produced.

    Attributes:
        reason: why, for a sentence.
    """

    def __init__(self, error: OSError | ValueError) -> None:
        gone = isinstance(error, BrokenPipeError)
        self.reason = "nothing reads it" if gone else _reason(error)
        super().__init__(
            f"stdout cannot be written: {self.reason}.",
            ExitCode.PIPE_CLOSED if gone else ExitCode.LOCAL_FAILURE,
        )


def own_streams() -> Screen:
    """The process's streams, as something to print on whatever state they are in.

    What their encoding cannot show is written as an escape: a name in another script must not end
    a command. The names in `sys` are replaced, too, because the library that prints the help uses
    them.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, ClosedStream())
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return Screen(sys.stdin, sys.stdout, sys.stderr)


@dataclass(frozen=True)
class Screen:
    """The process's streams; lines are flushed, because those of a watch are few and awaited."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO

    @property
    def is_terminal(self) -> bool:
        """Whether results go to a person's terminal."""
        return self.stdout.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether there is a person to ask."""
        return self.stdin.isatty() and self.stderr.isatty()

    def check_output(self) -> None:
        """See that stdout takes a result, as far as that can be known before there is one.

        Raises:
            OutputError: it does not.
        """
        try:
            if isinstance(self.stdout, ClosedStream):
                self.stdout.write("")
            descriptor = self.stdout.fileno()
        except io.UnsupportedOperation:
            return  # a test's
        except (OSError, ValueError) as error:
            raise OutputError(error) from error
        try:
            _check_descriptor(descriptor)
        except OSError as error:
            self.give_up_output()
            raise OutputError(error) from error

    def result(self, line: str) -> None:
        """Say what the command produced.

        Raises:
            OutputError: stdout does not take it.
        """
        try:
            self.stdout.write(f"{line}\n")
            self.stdout.flush()
        except (OSError, ValueError) as error:
            self.give_up_output()
            raise OutputError(error) from error

    def give_up_output(self) -> None:
        """Let what is buffered go nowhere: Python would try to write it again at its end."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self.stdout.fileno())
            os.close(nowhere)

    def note(self, line: str) -> None:
        """Say what is going on. A stderr that takes nothing ends no command."""
        with suppress(OSError, ValueError):
            self.stderr.write(f"{line}\n")
            self.stderr.flush()

    def ask(self, question: str) -> str:
        """Ask the person for a line.

        Raises:
            CliError: there is no one to ask.
        """
        with suppress(OSError, ValueError):
            self.stderr.write(f"{question}: ")
            self.stderr.flush()
        line = self.read_line()
        if not line:
            self.note("")
            raise usage("Nothing was entered.")
        return line.strip()

    def ask_secret(self, question: str) -> str:
        """Ask the person for a line that is not echoed."""
        try:
            return getpass.getpass(f"{question}: ", stream=self.stderr)
        except EOFError as error:
            raise usage("Nothing was entered.") from error
        except (OSError, ValueError) as error:
            _raise_unreadable(error)

    def read_line(self) -> str:
        """A line of stdin with its end; empty where there is no more.

        Raises:
            CliError: stdin cannot be read, or is no text.
        """
        try:
            return self.stdin.readline()
        except (OSError, ValueError) as error:
            _raise_unreadable(error)

    def read_all(self) -> str:
        """Everything that stdin holds.

        Raises:
            CliError: stdin cannot be read, or is no text.
        """
        try:
            return self.stdin.read()
        except (OSError, ValueError) as error:
            _raise_unreadable(error)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the person, or `--yes`, says so.

        Raises:
            CliError: they do not, or there is no one to ask.
        """
        if yes:
            return
        if not self.can_ask:
            raise usage(f"{question} There is no terminal to ask at. Next: say so with --yes.")
        if self.ask(f"{question} [y/N]").lower() not in {"y", "yes"}:
            raise usage("Nothing was done.")


def _check_descriptor(descriptor: int) -> None:
    """Raise the error that a write would, where it can be had without writing anything."""
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    elif stat.S_ISREG(kind) and os.fstatvfs(descriptor).f_bavail == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.write(descriptor, b"")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "its encoding cannot show it" if isinstance(error, UnicodeError) else "it is closed"


def _raise_unreadable(error: OSError | ValueError) -> NoReturn:
    if isinstance(error, UnicodeError):
        raise usage("What stdin holds is no text in this machine's encoding.") from error
    raise usage(f"stdin cannot be read: {_reason(error)}.") from error
