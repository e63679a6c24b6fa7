"""Writing files that hold secrets: for the owner only, and whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


def make_private_folder(folder: Path) -> None:
    """Create a folder for the owner only; folders above it as the system would."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=DIRECTORY_MODE)


def write_private(path: Path, content: Iterable[bytes]) -> None:
    """Replace ``path`` by ``content`` so that a crash leaves the old file or the new one."""
    # A symlinked file stays a symlink: its target is what is replaced.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            for block in content:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        # What was written may hold a secret: it must not lie about beside its place.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def is_widely_readable(path: Path) -> bool:
    """Tell whether others than the owner may touch the file."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process changes what is in the folder.

    The lock is on the folder itself: it leaves no file behind, and the kernel drops it when the
    process dies, however it dies.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
