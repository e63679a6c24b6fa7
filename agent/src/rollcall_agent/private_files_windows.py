"""Private files where files have access control lists.

A list is set by ``icacls`` and read from what it saves, because names of accounts are translated
and the saved form is not. Folders cannot be flushed on Windows, and a folder cannot be locked: the
lock is on a file in it, which stays.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.programs import Programs, Runner

LOCK: Final = ".agent.lock"
# By number, because their names differ from language to language.
SYSTEM: Final = "*S-1-5-18"
ADMINISTRATORS: Final = "*S-1-5-32-544"
# The same two in a saved list, by abbreviation or by number, and the rights of whoever owns it.
_TRUSTED: Final = frozenset({"SY", "BA", "OW", "S-1-5-18", "S-1-5-32-544", "S-1-3-4"})
_ALLOWED: Final = re.compile(r"\((?:A|OA);[^;()]*;[^;()]*;[^;()]*;[^;()]*;([^;()]+)")

Lock = Callable[[int], None]


@dataclass(frozen=True)
class WindowsFiles:
    """icacls and a locked file.

    Attributes:
        lock: Locks the first byte of a file, or raises OSError where somebody else has.
    """

    programs: Runner
    lock: Lock

    @classmethod
    def of_this_host(cls) -> WindowsFiles:
        """Return the real thing; it can be used on Windows only."""
        return cls(Programs.of_this_host(), _lock_first_byte)

    def make_parents(self, path: Path) -> None:
        """Create the missing folders above ``path``; what is made in them is as private."""
        missing: list[Path] = []
        folder = path.parent
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for created in reversed(missing):
            with suppress(FileExistsError):
                created.mkdir()
                self._restrict(created, "(OI)(CI)F")

    def write_private(self, path: Path, content: bytes) -> None:
        """Replace ``path`` by ``content``; the list is set before the content is written."""
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._restrict(temporary, "F")
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def is_widely_readable(self, path: Path) -> bool:
        """Tell whether somebody other than the system and its administrators may touch the file."""
        saved = path.with_name(f".{path.name}.acl")
        try:
            if not self.programs.run(["icacls", str(path), "/save", str(saved), "/q"]).succeeded:
                return False
            holders = _ALLOWED.findall(saved.read_bytes().decode("utf-16-le", "replace"))
        except OSError:
            return False
        finally:
            with suppress(OSError):
                saved.unlink(missing_ok=True)
        return any(holder not in _TRUSTED for holder in holders)

    @contextmanager
    def exclusive(self, folder: Path, doing: str = "enrollment") -> Iterator[None]:
        """Hold the folder against a second writer; Windows drops the lock when a process dies."""
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            try:
                self.lock(descriptor)
            except OSError as error:
                raise AgentError(
                    f"Another {doing} works in {folder} right now. Next: wait for it to end.",
                    ExitCode.BUSY,
                ) from error
            yield
        finally:
            os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Do nothing: Windows writes a folder down by itself, and cannot be asked to."""

    def advice(self, path: Path) -> str:
        """Return the command that takes a file away from others."""
        return " ".join(_restricting(path, "F"))

    def _restrict(self, path: Path, rights: str) -> None:
        ran = self.programs.run(_restricting(path, rights))
        if not ran.succeeded:
            # A file that others may read must not get its content.
            raise PermissionError(None, f"icacls ended with {ran.code}", str(path))


def _restricting(path: Path, rights: str) -> list[str]:
    granted = (f"{SYSTEM}:{rights}", f"{ADMINISTRATORS}:{rights}")
    return ["icacls", str(path), "/inheritance:r", "/grant:r", *granted, "/q"]


def _lock_first_byte(descriptor: int) -> None:
    # By name, because other systems have no such module for a type checker to look into.
    msvcrt: Any = importlib.import_module("msvcrt")
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
