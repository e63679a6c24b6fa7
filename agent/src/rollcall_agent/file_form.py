"""A file on its way into a multipart form: its facts, and a reader that shows progress."""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode

BLOCK: Final = 1024 * 1024

Progress = Callable[[int], None]


@dataclass(frozen=True)
class FileForm:
    """The fields of a presigned POST and the file that goes with them."""

    fields: Mapping[str, str]
    path: Path
    size: int
    content_type: str
    progress: Progress
    filename: str = "artifact"

    def open(self) -> TrackedFile:
        """Open the file for sending."""
        file = TrackedFile(self.path, self.size, self.progress)
        if file.seek(0, io.SEEK_END) != self.size:
            file.close()
            raise file_changed(self.path)
        file.seek(0)
        return file


class TrackedFile(io.FileIO):
    """A file that tells how much of it was read, and never yields more than was announced."""

    def __init__(self, path: Path, size: int, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._size = size
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a block."""
        left = self._size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        block = super().read(wanted) or b""
        if wanted > 0 and not block:
            raise file_changed(self._path)
        self._progress(self.tell())
        return block


def measure(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file, reading it block by block."""
    digest = hashlib.sha256()
    size = 0
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise AgentError(f"{path} is not a file.", ExitCode.USAGE)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise AgentError(f"Cannot read {path}: {error.strerror}.", ExitCode.USAGE) from error
    return size, digest.hexdigest()


def file_changed(path: Path) -> AgentError:
    """Say that the file is no longer the one whose digest was announced."""
    return AgentError(
        f"{path} changed while it was being uploaded. Next: upload a copy that nobody writes to.",
        ExitCode.USAGE,
    )
