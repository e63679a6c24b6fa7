"""Writing files that hold secrets: owner only, whole or not at all, and one writer at a time.

What an operating system has its own way for is in ``private_files_posix`` and
``private_files_windows``; both offer the functions of ``PrivateFiles``.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class PrivateFiles(Protocol):
    """What an operating system has to offer."""

    def make_parents(self, path: Path) -> None:
        """Create the missing folders above ``path``, each for the owner only."""

    def write_private(self, path: Path, content: bytes) -> None:
        """Replace ``path`` by ``content``, for the owner only; a crash leaves one of both."""

    def is_widely_readable(self, path: Path) -> bool:
        """Tell whether somebody other than the owner may touch the file."""

    def exclusive(self, folder: Path, doing: str = "enrollment") -> AbstractContextManager[None]:
        """Hold the folder against a second writer on this host."""

    def sync_folder(self, folder: Path) -> None:
        """Make a creation or a rename in the folder survive a power cut, if that can be asked."""

    def advice(self, path: Path) -> str:
        """Return the command that takes a file away from others."""


# fcntl exists on POSIX alone and msvcrt on Windows alone: only one of the modules is loaded.
_HOST: PrivateFiles
if sys.platform == "win32":
    from rollcall_agent.private_files_windows import WindowsFiles

    _HOST = WindowsFiles.of_this_host()
else:
    from rollcall_agent.private_files_posix import PosixFiles

    _HOST = PosixFiles()

make_parents = _HOST.make_parents
write_private = _HOST.write_private
is_widely_readable = _HOST.is_widely_readable
exclusive = _HOST.exclusive
sync_folder = _HOST.sync_folder
advice = _HOST.advice
