"""A file on its way into a multipart form, with a reader that shows progress."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollcall_agent.sendable import Measured, Stamp, cannot_read, file_changed

Progress = Callable[[int], None]


@dataclass(frozen=True)
class FileForm:
    """The fields of a presigned POST and the file that goes with them."""

    fields: Mapping[str, str]
    file: Measured
    content_type: str
    progress: Progress
    filename: str = "artifact"

    def open(self) -> TrackedFile:
        """Open the file for sending.

        Raises:
            AgentError: It is no longer the one that was measured.
        """
        path = self.file.path
        if self.file.has_changed():
            raise file_changed(path)
        try:
            file = TrackedFile(path, self.file.size, self.progress)
        except OSError as error:
            raise file_changed(path) from error
        if Stamp.of(os.fstat(file.fileno())) != self.file.stamp:
            file.close()
            raise file_changed(path)
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
        try:
            block = super().read(wanted) or b""
        except OSError as error:
            raise cannot_read(self._path, error) from error
        if wanted > 0 and not block:
            raise file_changed(self._path)
        self._progress(self.tell())
        return block
