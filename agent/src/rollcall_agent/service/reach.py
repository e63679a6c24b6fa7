"""What the service's user can read and replace: a service that cannot read its file never starts.

The systemd unit runs as root without a single capability. Such a root passes over no mode: a file
of another user with 0600 is closed to it, and a folder of another user cannot be written to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.places import SERVICE
from rollcall_agent.programs import Runner

READ, WRITE, ENTER = 4, 2, 1
_HOMES: Final = ("/home", "/root", "/run/user")
_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - places to be refused, not used
_SHOWN: Final = ("LoadState", "User", "Group", "CapabilityBoundingSet", "ProtectHome", "PrivateTmp")


@dataclass(frozen=True)
class ServiceUser:
    """As whom the service opens files.

    Attributes:
        reads_all: Whether it passes over modes where it reads.
        writes_all: Whether it does where it writes.
        hidden: Folders whose content the service does not see.
    """

    uid: int = 0
    gids: frozenset[int] = frozenset({0})
    reads_all: bool = False
    writes_all: bool = False
    hidden: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say who it is."""
        if self.uid:
            return f"the service, which runs as user {self.uid}"
        return "the service, which runs as root without capabilities"


BARE_ROOT: Final = ServiceUser()
OF_UNIT: Final = ServiceUser(hidden=(*_HOMES, *_TEMPORARY))
"""As our own systemd unit has it."""
ALL_POWERFUL: Final = ServiceUser(reads_all=True, writes_all=True)
"""The root of launchd."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps the service from a file.

    Attributes:
        path: The file or folder whose owner or mode is in the way.
        what: What is wrong, in one sentence without a full stop.
        todo: What to do about it.
        is_hidden: Whether the service does not see the place at all.
    """

    path: Path
    what: str
    todo: str
    is_hidden: bool = False


def user_of_service(platform: str, programs: Runner) -> ServiceUser | None:
    """Return as whom the installed service runs; None where none is installed, or none can say."""
    if platform == "win32":
        return None
    if platform == "darwin":
        ran = programs.run(["launchctl", "print", f"system/{SERVICE}"])
        return ALL_POWERFUL if ran.succeeded else None
    shown = [word for name in _SHOWN for word in ("-p", name)]
    ran = programs.run(["systemctl", "show", SERVICE, *shown])
    lines = (line.partition("=") for line in ran.output.splitlines())
    found = {name: value.strip() for name, _, value in lines}
    if not ran.succeeded or found.get("LoadState") != "loaded":
        return None
    return _of_unit(found, programs)


def _of_unit(shown: Mapping[str, str], programs: Runner) -> ServiceUser | None:
    ids = _ids(shown.get("User") or "root", shown.get("Group", ""), programs)
    if ids is None:
        return None
    uid, gids = ids
    # Without ambient capabilities only root has those of the bounding set.
    powers = shown.get("CapabilityBoundingSet", "").split() if uid == 0 else []
    writes_all = "cap_dac_override" in powers
    hides_homes = shown.get("ProtectHome") in {"yes", "tmpfs"}
    hidden = (_HOMES if hides_homes else ()) + (
        _TEMPORARY if shown.get("PrivateTmp") in {"yes", "disconnected"} else ()
    )
    return ServiceUser(uid, gids, writes_all or "cap_dac_read_search" in powers, writes_all, hidden)


def _ids(user: str, group: str, programs: Runner) -> tuple[int, frozenset[int]] | None:
    """Look a user's number and groups up, by the host's own tools."""
    if user in {"root", "0"} and not group:
        return 0, frozenset({0})
    number, groups = programs.run(["id", "-u", user]), programs.run(["id", "-G", user])
    named = programs.run(["getent", "group", group]).output.split(":")[2:3] if group else []
    found = [*number.output.split(), *groups.output.split(), *named]
    if not (number.succeeded and groups.succeeded) or not all(map(str.isdecimal, found)):
        return None
    uid, *gids = map(int, found)
    return uid, frozenset(gids)


def to_read(path: Path, user: ServiceUser) -> Obstacle | None:
    """Look for what keeps the user from reading a file. One that does not exist is no obstacle."""
    blocked = _hidden(path, user) or _on_the_way(path, user)
    if blocked is not None or user.reads_all:
        return blocked
    return _unless(path, READ, "cannot be read", user)


def to_write(folder: Path, user: ServiceUser) -> Obstacle | None:
    """Look for what keeps the user from making files in a folder, which may yet have to be made."""
    existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    blocked = _hidden(folder, user) or _on_the_way(existing, user)
    if blocked is not None or user.writes_all:
        return blocked
    return _unless(existing, WRITE | ENTER, "cannot be written to", user)


def to_replace(path: Path, user: ServiceUser) -> Obstacle | None:
    """Look for what keeps the user from reading a file and putting another in its place."""
    target = Path(os.path.realpath(path))
    blocked = to_read(path, user) or to_write(target.parent, user)
    if blocked is not None or user.writes_all or not target.exists():
        return blocked
    folder, file = target.parent.stat(), target.stat()
    if folder.st_mode & stat.S_ISVTX and user.uid not in {folder.st_uid, file.st_uid}:
        what = (
            f"{target} cannot be replaced by {user.words}: its folder keeps files to their owners"
        )
        return Obstacle(target, what, f"chown {user.uid} {target}")
    return None


def _hidden(path: Path, user: ServiceUser) -> Obstacle | None:
    for one in (path.absolute(), Path(os.path.realpath(path))):
        for place in user.hidden:
            if one.is_relative_to(place):
                what = f"{path} lies below {place}, which the service does not see"
                return Obstacle(path, what, "move it to another place, such as /etc/rollcall", True)
    return None


def _on_the_way(path: Path, user: ServiceUser) -> Obstacle | None:
    """Find the folder that the user cannot pass, of the path and of what its links lead to."""
    if user.reads_all:
        return None
    for folder in _folders((path.absolute(), Path(os.path.realpath(path)))):
        blocked = _unless(folder, ENTER, "cannot be entered", user)
        if blocked is not None:
            return blocked
    return None


def _folders(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from reversed(path.parents)


def _unless(path: Path, wanted: int, how: str, user: ServiceUser) -> Obstacle | None:
    """Return the obstacle that a file or folder is, unless its mode lets the user do as wanted."""
    try:
        found = path.stat()
    except OSError:
        return None
    if _bits(found, user) & wanted == wanted:
        return None
    letters = "".join(letter for bit, letter in ((4, "r"), (2, "w"), (1, "x")) if wanted & bit)
    what = f"{path} belongs to user {found.st_uid} and {how} by {user.words}"
    todo = f"chown {user.uid} {path}"
    if found.st_uid == user.uid:
        what = f"{path} has the mode {stat.S_IMODE(found.st_mode):04o} and {how} by {user.words}"
        todo = f"chmod u+{letters} {path}"
    return Obstacle(path, what, todo)


def _bits(found: os.stat_result, user: ServiceUser) -> int:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid == user.uid:
        return mode >> 6 & 7
    return (mode >> 3 & 7) if found.st_gid in user.gids else mode & 7
