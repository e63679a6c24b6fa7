"""The agent's env file: KEY=VALUE lines among whatever else an operator wrote there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import write_private

LARGEST_FILE: Final = 1024 * 1024
# `export KEY=VALUE` is understood, because people source these files from a shell.
_ASSIGNMENT: Final = re.compile(r"(\s*(?:export\s+)?)([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
# Only what means the same to a shell, to systemd and to this parser is ever written.
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.,:/@%+=~\[\]&?-]*")


class EnvFile:
    """The lines of one env file. Lines that are not touched are kept byte for byte."""

    def __init__(self, text: str = "") -> None:
        self._lines = _split(text)

    @classmethod
    def load(cls, path: Path) -> EnvFile:
        """Read a file; one that does not exist is an empty one."""
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise AgentError(
                f"Cannot read {path}: {error.strerror}. Next: run as the file's owner, or name "
                "another file with --config.",
                # A folder never becomes a file; a full or a missing disk may be another one soon.
                ExitCode.USAGE if isinstance(error, IsADirectoryError) else ExitCode.UNREADY,
            ) from error
        if len(content) > LARGEST_FILE:
            raise AgentError(f"{path} is too large to be an env file.", ExitCode.USAGE)
        return cls(content.decode("utf-8", "surrogateescape"))

    def save(self, path: Path) -> None:
        """Write the file atomically, for its owner only."""
        write_private(path, self.text().encode("utf-8", "surrogateescape"))

    def text(self) -> str:
        """Return the whole file."""
        return "".join(self._lines)

    def get(self, key: str) -> str | None:
        """Return a value, or None where it is missing or empty. The last line wins."""
        for line in reversed(self._lines):
            found, value = _parse(line)
            if found == key:
                return value or None
        return None

    def set(self, key: str, value: str) -> None:
        """Set a value in place, or at the end; further lines for the same key go."""
        if _PLAIN_VALUE.fullmatch(value) is None:
            raise ValueError(f"the value for {key} does not fit on a line of an env file")
        places = self._places(key)
        if not places:
            self._end_last_line()
            self._lines.append(f"{key}={value}\n")
            return
        before = self._lines[places[0]]
        self._lines[places[0]] = f"{_lead(before)}{key}={value}{_ending(before)}"
        self._drop(places[1:])

    def remove(self, key: str) -> None:
        """Remove every line that sets the key."""
        self._drop(self._places(key))

    def comment_out(self, key: str, comment: str) -> None:
        """Replace every line that sets the key by a comment; the value is gone."""
        for place in self._places(key):
            self._lines[place] = f"# {comment}{_ending(self._lines[place])}"

    def _places(self, key: str) -> list[int]:
        return [place for place, line in enumerate(self._lines) if _parse(line)[0] == key]

    def _drop(self, places: list[int]) -> None:
        for place in reversed(places):
            del self._lines[place]

    def _end_last_line(self) -> None:
        if self._lines and not self._lines[-1].endswith("\n"):
            self._lines[-1] += "\n"


def _split(text: str) -> list[str]:
    # str.splitlines would also cut at form feeds and other marks that are no line ends here.
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _ending(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _lead(line: str) -> str:
    """Return the word that a shell needs to hand the value on, where the line has it."""
    match = _ASSIGNMENT.fullmatch(line)
    return "export " if match is not None and match.group(1).strip() else ""


def _parse(line: str) -> tuple[str | None, str]:
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        return None, ""
    value = match.group(3).strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":  # noqa: PLR2004
        value = value[1:-1]
    return match.group(2), value
