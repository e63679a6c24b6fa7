"""What a command prints and asks: results on stdout, everything else on stderr."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TextIO

from rollcall_cli.exits import usage


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

    def result(self, line: str) -> None:
        """Say what the command produced."""
        self.stdout.write(f"{line}\n")
        self.stdout.flush()

    def note(self, line: str) -> None:
        """Say what is going on."""
        self.stderr.write(f"{line}\n")
        self.stderr.flush()

    def ask(self, question: str) -> str:
        """Ask the person for a line.

        Raises:
            CliError: there is nobody to ask.
        """
        self.stderr.write(f"{question}: ")
        self.stderr.flush()
        line = self.stdin.readline()
        if not line:
            self.stderr.write("\n")
            raise usage("Nothing was entered.")
        return line.strip()

    def ask_secret(self, question: str) -> str:
        """Ask the person for a line that is not echoed."""
        try:
            return getpass.getpass(f"{question}: ", stream=self.stderr)
        except EOFError as error:
            raise usage("Nothing was entered.") from error

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only if the person, or `--yes`, says so.

        Raises:
            CliError: they do not, or nobody can be asked.
        """
        if yes:
            return
        if not self.can_ask:
            raise usage(f"{question} Nobody can be asked here. Next: say so with --yes.")
        if self.ask(f"{question} [y/N]").lower() not in {"y", "yes"}:
            raise usage("Nothing was done.")
