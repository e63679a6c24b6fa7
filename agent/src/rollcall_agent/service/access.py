"""Giving the service its own files before it is installed, or refusing to install it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import SERVICE
from rollcall_agent.say import Say
from rollcall_agent.service.manager import Definition
from rollcall_agent.service.reach import Obstacle, ServiceUser, to_read, to_replace, to_write
from rollcall_agent.settings import Settings
from rollcall_agent.tls import trusting

OWN_FOLDER: Final = "rollcall"
_MOST_REPAIRS: Final = 8


def make_reachable(settings: Settings, definition: Definition, user: ServiceUser, say: Say) -> None:
    """See to it that the service can read and replace what it needs.

    What is the service's own gets its owner and a mode: the env file, and the folders called
    `rollcall` with what lies in them. Anything else may be another program's, and is left alone.

    Raises:
        AgentError: The service would not reach a file.
    """
    # A service inherits no environment: what counts is what the file names.
    settings = Settings(settings.path, {}, settings.file)
    bundle = settings.ca_bundle()
    own = _Own.of(settings, definition)
    _settle(own, lambda: to_replace(settings.path, user), user, say)
    _settle(own, lambda: to_write(Path(definition.state_folder), user), user, say)
    _settle(own, lambda: to_write(Path(definition.temporary_folder), user), user, say)
    _settle(own, lambda: to_write(settings.state_file().parent, user), user, say)
    _settle(own, lambda: to_read(Path(definition.binary), user), user, say)
    if bundle is not None:
        _require_absolute(bundle)
        _settle(own, lambda: to_read(bundle, user), user, say)
        trusting(bundle)


class _Own:
    """The files and folders that are the service's alone."""

    def __init__(self, files: set[Path], folders: set[Path]) -> None:
        self._files = files
        self._folders = folders

    @classmethod
    def of(cls, settings: Settings, definition: Definition) -> _Own:
        """Name them."""
        file = Path(os.path.realpath(settings.path))
        state = Path(os.path.realpath(definition.state_folder))
        folders = {folder for folder in (file.parent, state) if folder.name == OWN_FOLDER}
        if state in folders:
            folders.add(Path(os.path.realpath(definition.temporary_folder)))
        return cls({file}, folders)

    def holds(self, path: Path) -> bool:
        """Tell whether a path is one of them, or a file in one of the folders."""
        real = Path(os.path.realpath(path))
        return real in self._files | self._folders or real.parent in self._folders


def _settle(own: _Own, look: Callable[[], Obstacle | None], user: ServiceUser, say: Say) -> None:
    for _ in range(_MOST_REPAIRS):
        obstacle = look()
        if obstacle is None:
            return
        if obstacle.is_hidden or not own.holds(obstacle.path) or not _give(obstacle.path, user):
            break
        say.note(f"{obstacle.what}. It was given to user {user.uid}, for that user alone.")
    else:
        obstacle = look()
    if obstacle is not None:
        raise AgentError(
            f"{obstacle.what}; {SERVICE} was not installed as a service. Next: {obstacle.todo}, "
            "then run the same command again.",
            ExitCode.USAGE if obstacle.is_hidden else ExitCode.UNREADY,
        )


def _give(path: Path, user: ServiceUser) -> bool:
    """Give a file or folder to the service's user; tell whether that was done."""
    if sys.platform == "win32":
        return False
    # By descriptor, and no link: the folder's owner must not choose what is given away.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(os.path.realpath(path), flags)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode)
        if not is_folder and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):
            return False
        os.fchown(descriptor, user.uid, -1)
        os.fchmod(descriptor, 0o700 if is_folder else 0o600)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _require_absolute(bundle: Path) -> None:
    if not bundle.is_absolute():
        raise AgentError(
            f"ROLLCALL_CA_BUNDLE names {bundle}, and the service starts in another folder. Next: "
            "name the whole path.",
            ExitCode.USAGE,
        )
