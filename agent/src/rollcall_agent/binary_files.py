"""Exchanging the agent's own binary: at every moment there is a whole one in its place.

On POSIX the exchange is one rename. Windows does not let a running program be replaced, but does
let it be renamed: there it is two renames, and a power cut between them leaves the binary under its
other name alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from rollcall_agent.private_files import sync_folder

MODE: Final = 0o755
UNCHECKED_MODE: Final = 0o600
BLOCK: Final = 1024 * 1024


class FileOperations:
    """The operations that leave a trace, one by one, so that a test can end the process at each."""

    def write_new(self, path: Path, blocks: Iterable[bytes]) -> None:
        """Write a file that is not there yet, and flush it to disk.

        It is a program only once the blocks have come to their end, which they do not where they
        are not what they should be.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, UNCHECKED_MODE), "wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(MODE)

    def link(self, path: Path, name: Path) -> None:
        """Give a file a second name, or copy it where the file system has no links."""
        try:
            os.link(path, name)
        except OSError:
            # Imported here, because it brings compressors along that nothing else needs.
            import shutil  # noqa: PLC0415

            shutil.copy2(path, name)

    def replace(self, path: Path, target: Path) -> None:
        """Rename, in place of what the target was."""
        path.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        path.unlink(missing_ok=True)

    def sync(self, folder: Path) -> None:
        """Make the renames in a folder survive a power cut."""
        sync_folder(folder)


class BinaryFiles(Protocol):
    """The binary, the one before it, and the one that is to come."""

    def stage(self, version: str, blocks: Iterable[bytes]) -> Path:
        """Write a new binary beside the current one, and return where; or leave nothing behind."""

    def drop(self, staged: Path) -> None:
        """Remove a staged binary that is not wanted, as far as that is possible."""

    def is_in_place(self, staged: Path) -> bool:
        """Tell whether the current binary is the staged one, byte for byte."""

    def put_in_place(self, staged: Path) -> None:
        """Make the staged binary the current one, and keep the current one as the previous."""

    def can_go_back(self) -> bool:
        """Tell whether there is a previous binary."""

    def go_back(self) -> None:
        """Make the previous binary the current one."""

    def clear(self) -> None:
        """Remove what an interrupted upgrade left behind."""


@dataclass(frozen=True)
class _Binaries:
    """What is done in the same way on each operating system."""

    binary: Path
    files: FileOperations = field(default_factory=FileOperations)

    def drop(self, staged: Path) -> None:
        """Remove a staged binary that is not wanted, as far as that is possible."""
        with suppress(OSError):
            self.files.remove(staged)

    def is_in_place(self, staged: Path) -> bool:
        """Tell whether the current binary is the staged one, byte for byte."""
        with staged.open("rb") as one, self.binary.open("rb") as other:
            while block := one.read(BLOCK):
                if other.read(BLOCK) != block:
                    return False
            return not other.read(1)

    def _write(self, staged: Path, blocks: Iterable[bytes]) -> Path:
        self.files.remove(staged)
        try:
            self.files.write_new(staged, blocks)
        except Exception:
            # What was refused must not lie about, and a full disk must not stay full.
            self.drop(staged)
            raise
        return staged


class PosixBinaries(_Binaries):
    """The files where a running program can be replaced."""

    @property
    def previous(self) -> Path:
        """Where the binary before this one is kept."""
        return self.binary.with_name(f"{self.binary.name}.previous")

    def stage(self, version: str, blocks: Iterable[bytes]) -> Path:
        """Write a new binary beside the current one, under a name of this process alone."""
        name = f".{self.binary.name}.{version}.{os.getpid()}.new"
        return self._write(self.binary.with_name(name), blocks)

    def put_in_place(self, staged: Path) -> None:
        """Make the staged binary the current one by one rename."""
        kept = self.binary.with_name(f".{self.previous.name}.new")
        self.files.remove(kept)
        self.files.link(self.binary, kept)
        self.files.replace(kept, self.previous)
        # Renaming does nothing where both are names of one file, which a killed upgrade leaves.
        self.files.remove(kept)
        self.files.sync(self.binary.parent)
        self.files.replace(staged, self.binary)
        self.files.sync(self.binary.parent)

    def can_go_back(self) -> bool:
        """Tell whether there is a previous binary."""
        return self.previous.is_file()

    def go_back(self) -> None:
        """Make the previous binary the current one by one rename."""
        self.files.replace(self.previous, self.binary)
        self.files.sync(self.binary.parent)

    def clear(self) -> None:
        """Remove what an interrupted upgrade left behind."""
        for left in self.binary.parent.glob(f".{self.binary.name}.*new"):
            with suppress(OSError):
                self.files.remove(left)


class WindowsBinaries(_Binaries):
    """The files where a running program can only be renamed."""

    @property
    def previous(self) -> Path:
        """Where the binary before this one is kept."""
        return self.binary.with_name(f"{self.binary.stem}.previous{self.binary.suffix}")

    @property
    def _failed(self) -> Path:
        return self.binary.with_name(f"{self.binary.stem}.failed{self.binary.suffix}")

    def stage(self, version: str, blocks: Iterable[bytes]) -> Path:
        """Write a new binary beside the current one; it is a program by its suffix alone."""
        name = f"{self.binary.stem}.{version}.{os.getpid()}.new{self.binary.suffix}"
        return self._write(self.binary.with_name(name), blocks)

    def put_in_place(self, staged: Path) -> None:
        """Rename the current binary out of the way and the staged one into its place."""
        self.files.replace(self.binary, self.previous)
        try:
            self.files.replace(staged, self.binary)
        except OSError:
            self.files.replace(self.previous, self.binary)
            raise

    def can_go_back(self) -> bool:
        """Tell whether there is a previous binary."""
        return self.previous.is_file()

    def go_back(self) -> None:
        """Rename the current binary, which runs, out of the way and the previous one back."""
        self.files.replace(self.binary, self._failed)
        try:
            self.files.replace(self.previous, self.binary)
        except OSError:
            self.files.replace(self._failed, self.binary)
            raise

    def clear(self) -> None:
        """Remove what an interrupted upgrade, or one that was taken back, left behind."""
        left = [*self.binary.parent.glob(f"{self.binary.stem}.*.new{self.binary.suffix}")]
        for path in (*left, self._failed):
            with suppress(OSError):
                self.files.remove(path)


def binaries_of(platform: str, binary: Path) -> BinaryFiles:
    """Return the way of an operating system, by what ``sys.platform`` calls it."""
    return WindowsBinaries(binary) if platform == "win32" else PosixBinaries(binary)
