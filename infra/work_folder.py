"""Folders and locks below `.local/` for the time of a command, and no longer."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.errors import DeployError

ROOT = Path(__file__).parents[1]
_LOCK = "owner.lock"


@contextmanager
def work_folder(base: Path = ROOT / ".local") -> Iterator[Path]:
    """A folder that is gone at the end.

    Whoever is killed with SIGKILL cannot remove its own; the next command does. A lock that the
    kernel lets go of with its owner tells the abandoned ones from those in use.
    """
    base.mkdir(exist_ok=True)
    with _alone(base):
        _remove_abandoned(base)
        work = Path(tempfile.mkdtemp(prefix="run-", dir=base))
        lock = os.open(work / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


@contextmanager
def only_one(command: str, base: Path = ROOT / ".local") -> Iterator[None]:
    """Let one command of a name run in the checkout: it writes files of fixed names.

    A command that is killed leaves its lock file, but the kernel lets go of the lock.

    Args:
        command: such as `up`, for `make up`.
        base: where the lock file is while the command runs.

    Raises:
        DeployError: another one runs.
    """
    base.mkdir(exist_ok=True)
    file = base / f"{command}.lock"
    with _alone(base):
        lock = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise DeployError(
                f"another `make {command}` runs in this checkout; stop it first"
            ) from None
    try:
        yield
    finally:
        with suppress(FileNotFoundError), _alone(base):  # `make clean` removes the folder, too
            file.unlink(missing_ok=True)
        os.close(lock)


def _remove_abandoned(base: Path) -> None:
    for file in base.glob(f"run-*/{_LOCK}"):
        lock = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
        except BlockingIOError:
            pass  # somebody works in it
        finally:
            os.close(lock)


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Nobody looks for abandoned folders while one is being made."""
    handle = os.open(base, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
