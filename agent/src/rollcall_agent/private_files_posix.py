"""Private files where files have modes and folders can be locked and flushed."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode

if sys.platform == "win32":
    raise ImportError("Windows has files of its own kind: private_files_windows")

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


class PosixFiles:
    """Modes, flock and fsync."""

    def make_parents(self, path: Path) -> None:
        """Create the missing folders above ``path``, for the owner only, and make them durable."""
        missing: list[Path] = []
        folder = path.parent
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for created in reversed(missing):
            with suppress(FileExistsError):
                created.mkdir(mode=DIRECTORY_MODE)
            self.sync_folder(created.parent)

    def write_private(self, path: Path, content: bytes) -> None:
        """Replace ``path`` by ``content`` so that a crash leaves the old file or the new one.

        The temporary file has a fixed name, so that a killed writer leaves at most one behind and
        the next writer removes it; callers therefore hold ``exclusive``.
        """
        # A symlinked configuration stays a symlink: its target is what is replaced.
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), FILE_MODE)
                _keep_owner(target, file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            # What was written may hold a key: it must not lie about beside the file it was for.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self.sync_folder(target.parent)

    def is_widely_readable(self, path: Path) -> bool:
        """Tell whether somebody other than the owner may touch the file."""
        try:
            return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
        except OSError:
            return False

    @contextmanager
    def exclusive(self, folder: Path, doing: str = "enrollment") -> Iterator[None]:
        """Hold the folder against a second writer on this host.

        The lock is on the folder itself: it leaves no file behind and the kernel drops it when the
        process dies, however it dies.
        """
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AgentError(
                    f"Another {doing} works in {folder} right now. Next: wait for it to end.",
                    ExitCode.BUSY,
                ) from error
            yield
        finally:
            os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make a creation or a rename in the folder survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def advice(self, path: Path) -> str:
        """Return the command that takes a file away from others."""
        return f"chmod 600 {path}"


def _keep_owner(target: Path, descriptor: int) -> None:
    """Give the new file the old one's owner: root must not lock the service's user out."""
    with suppress(FileNotFoundError, PermissionError):
        before = target.stat()
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, before.st_uid, before.st_gid)
