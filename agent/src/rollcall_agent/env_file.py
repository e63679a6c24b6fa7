"""The agent's env file: KEY=VALUE lines among whatever else an operator wrote there.

What a line may look like is in ``rollcall_client.setting_lines``.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rollcall_client import setting_lines
from rollcall_client.setting_lines import LineError

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.known_names import is_ours
from rollcall_agent.private_files import write_private

LARGEST_FILE: Final = 1024 * 1024
# Only what means the same to a shell, to systemd and to this parser is ever written.
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.,:/@%+=~\[\]&?-]*")


class EnvFile:
    """The lines of one env file. Lines that are not touched are kept byte for byte."""

    def __init__(self, text: str = "") -> None:
        self._lines = setting_lines.split_lines(text)

    @classmethod
    def load(cls, path: Path) -> EnvFile:
        """Read a file; one that does not exist is an empty one.

        Raises:
            AgentError: It cannot be read, or a line that is about one of our names cannot be used.
        """
        try:
            content = _read(path)
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise _cannot_read(path, error) from error
        if len(content) > LARGEST_FILE:
            raise AgentError(f"{path} is too large to be an env file.", ExitCode.USAGE)
        try:
            file = cls(setting_lines.decode(content))
            file.check()
        except LineError as error:
            raise AgentError(
                f"{error.of(str(path))}. Next: correct that line, then run the same command again.",
                ExitCode.USAGE,
            ) from None
        return file

    def check(self, is_read: Callable[[str], bool] = is_ours) -> None:
        """Refuse the first line that is about a name that is read, and cannot be used.

        Raises:
            LineError: There is such a line.
        """
        for number, line in enumerate(self._lines, start=1):
            try:
                setting_lines.check_line(setting_lines.body(line), is_read)
            except LineError as error:
                raise LineError(error.fault, number) from None

    def names(self) -> list[str]:
        """Return the names that the file sets, each once, in their order."""
        found = (setting_lines.read_setting(setting_lines.body(line)) for line in self._lines)
        return list(dict.fromkeys(setting.name for setting in found if setting is not None))

    def strange_line(self) -> int | None:
        """Return the number of the first line that is no setting, no comment and not blank."""
        for number, line in enumerate(self._lines, start=1):
            if not setting_lines.means_something(setting_lines.body(line)):
                return number
        return None

    def save(self, path: Path) -> None:
        """Write the file atomically, for its owner only."""
        write_private(path, self.text().encode("utf-8", "surrogateescape"))

    def text(self) -> str:
        """Return the whole file."""
        return "".join(self._lines)

    def get(self, key: str) -> str | None:
        """Return a value, or None where it is missing or empty. The last line wins."""
        for line in reversed(self._lines):
            setting = setting_lines.read_setting(setting_lines.body(line))
            if setting is not None and setting.name == key:
                return _value(setting) or None
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
        return [place for place, line in enumerate(self._lines) if _name(line) == key]

    def _drop(self, places: list[int]) -> None:
        for place in reversed(places):
            del self._lines[place]

    def _end_last_line(self) -> None:
        if self._lines and not self._lines[-1].endswith("\n"):
            self._lines[-1] += "\n"


def _read(path: Path) -> bytes:
    # A pipe without a writer would be waited for, and a pipe cannot be replaced either.
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise AgentError(
            f"{path} is not a regular file. Next: name another env file with --config.",
            ExitCode.USAGE,
        )
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)


def _cannot_read(path: Path, error: OSError) -> AgentError:
    # A folder never becomes a file; a full or a missing disk may be another one soon.
    never = isinstance(error, IsADirectoryError) or error.errno == errno.ENAMETOOLONG
    return AgentError(
        f"Cannot read {path}: {error.strerror}. Next: run as the file's owner, or name "
        "another file with --config.",
        ExitCode.USAGE if never else ExitCode.UNREADY,
    )


def _ending(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _name(line: str) -> str | None:
    setting = setting_lines.read_setting(setting_lines.body(line))
    return setting.name if setting is not None else None


def _lead(line: str) -> str:
    """Return the word that a shell needs to hand the value on, where the line has it."""
    setting = setting_lines.read_setting(setting_lines.body(line))
    return "export " if setting is not None and setting.exported else ""


def _value(setting: setting_lines.Setting) -> str:
    try:
        return setting.value()
    except LineError:
        # Not one of our names, or the file would have been refused.
        return setting.raw.strip()
