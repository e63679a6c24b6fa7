"""What this host gives the agent: room on its disks, a service, a version."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rollcall_agent import __version__
from rollcall_agent.doctor.check import Check, failed, ok, skipped, warning
from rollcall_agent.exits import AgentError
from rollcall_agent.places import SERVICE
from rollcall_agent.programs import NOT_FOUND, Ran, Runner
from rollcall_agent.service.reach import ServiceUser, to_write
from rollcall_agent.settings import Settings
from rollcall_agent.upgrade_settings import RELEASE_KEY, release_key, upgrades_itself

DISK: Final = "disk"
SERVICE_CHECK: Final = "service"
VERSION: Final = "version"
_MIB: Final = 1024 * 1024
# The env file and the state are a few KiB, but a file system this full fails in other ways.
LEAST_FREE: Final = _MIB
# An upgrade keeps the old binary beside the new one while it tries it.
ROOM_FOR_UPGRADE: Final = 100 * _MIB
_ENABLED: Final = frozenset({"enabled", "enabled-runtime", "static", "linked", "alias"})
_START: Final = "sudo systemctl enable --now rollcall-agent"
_LOG: Final = "see why: journalctl -u rollcall-agent -n 50"


def free_bytes(folder: Path) -> int:
    """Return how much room there is."""
    return shutil.disk_usage(folder).free


def check_disk(
    folders: Sequence[Path],
    free: Callable[[Path], int] = free_bytes,
    user: ServiceUser | None = None,
) -> Check:
    """See whether the agent's folders can be written to, and how much room they have.

    Args:
        folders: those of the agent.
        free: tells the room.
        user: as whom the service runs, where one is installed: it may be less than this process.
    """
    room = []
    for folder in dict.fromkeys(folders):
        existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        try:
            # A file without a name: it leaves nothing behind, also when this is killed.
            with tempfile.TemporaryFile(dir=existing) as probe:
                probe.write(b"\0" * 4096)
            room.append((free(existing), folder))
        except OSError as error:
            return failed(
                DISK,
                f"{folder} cannot be written to ({(error.strerror or 'unknown').lower()})",
                "run doctor as the service's user (sudo); in a container mount the folder writable",
            )
        obstacle = to_write(folder, user) if user is not None else None
        if obstacle is not None:
            return failed(DISK, obstacle.what, obstacle.todo)
    least, folder = min(room)
    return _judge_room(least, folder, folders)


def _judge_room(least: int, folder: Path, folders: Sequence[Path]) -> Check:
    what = f"{folder} has {least // _MIB} MiB left"
    if least < LEAST_FREE:
        return failed(DISK, what, "make room: the agent cannot keep a new key")
    if least < ROOM_FOR_UPGRADE:
        todo = f"make room: an upgrade needs {ROOM_FOR_UPGRADE // _MIB} MiB"
        return warning(DISK, what, todo)
    named = " and ".join(str(one) for one in dict.fromkeys(folders))
    return ok(DISK, f"{named} can be written to, {least // _MIB} MiB left")


def check_service(platform: str, programs: Runner, *, enrolled: bool) -> Check:
    """Ask the host's service manager about the agent."""
    if platform == "win32":
        return _of_windows(programs.run(["sc.exe", "query", SERVICE]), enrolled=enrolled)
    if platform == "darwin":
        return _of_launchd(programs.run(["launchctl", "print", f"system/{SERVICE}"]))
    return _of_systemd(programs, enrolled=enrolled)


def check_version(settings: Settings, *, is_release: bool) -> Check:
    """Tell which agent this is, and whether it can become another version.

    Args:
        settings: name the key that an upgrade must be signed by.
        is_release: whether it runs as the one file that an upgrade replaces.
    """
    what = f"rollcall-agent {__version__}"
    try:
        pin = release_key(settings)
    except AgentError as error:
        return failed(VERSION, f"{what}. {error.line}", "copy the fingerprint from a mint's answer")
    if is_release and pin is None and _wants_upgrades(settings):
        return warning(
            VERSION,
            f"{what}. It refuses every upgrade: no release key is pinned",
            f"write {RELEASE_KEY}=<fingerprint> into {settings.path}; a mint's answer shows it",
        )
    return ok(VERSION, what)


def _wants_upgrades(settings: Settings) -> bool:
    try:
        return upgrades_itself(settings)
    except AgentError:
        # Named by the line about the configuration.
        return True


def _of_systemd(programs: Runner, *, enrolled: bool) -> Check:
    active = programs.run(["systemctl", "is-active", SERVICE])
    if active.code == NOT_FOUND or "not been booted with systemd" in active.output:
        return skipped(SERVICE_CHECK, "There is no systemd here")
    is_active, enabled = _word(active), _word(programs.run(["systemctl", "is-enabled", SERVICE]))
    if enabled in {"not-found", ""} or "no such file" in enabled.lower():
        return _not_installed(enrolled=enrolled)
    if enabled == "masked":
        todo = f"sudo systemctl unmask {SERVICE}, then {_START}"
        return failed(SERVICE_CHECK, "The service is masked", todo)
    return _judge_unit(is_active, enabled, enrolled=enrolled)


def _judge_unit(is_active: str, enabled: str, *, enrolled: bool) -> Check:
    if is_active == "failed":
        return failed(SERVICE_CHECK, "The service has failed", _LOG)
    if is_active not in {"active", "activating", "reloading"}:
        return _stopped(f"The service is {is_active}", enrolled=enrolled, todo=_START)
    if enabled not in _ENABLED:
        what = f"The service is {is_active}, and does not start with the host ({enabled})"
        return warning(SERVICE_CHECK, what, f"sudo systemctl enable {SERVICE}")
    if is_active == "activating":
        return warning(SERVICE_CHECK, "The service is being started, again and again perhaps", _LOG)
    return ok(SERVICE_CHECK, f"The service is {is_active} and {enabled}")


def _of_launchd(ran: Ran) -> Check:
    if ran.code == NOT_FOUND:
        return skipped(SERVICE_CHECK, "There is no launchd here")
    if not ran.succeeded:
        return _not_installed(enrolled=True)
    if "state = running" in ran.output:
        return ok(SERVICE_CHECK, "The service is running")
    todo = f"sudo launchctl kickstart system/{SERVICE}, and look into its log"
    return failed(SERVICE_CHECK, "The service is loaded and does not run", todo)


def _of_windows(ran: Ran, *, enrolled: bool) -> Check:
    if ran.code == NOT_FOUND:
        return skipped(SERVICE_CHECK, "There is no service manager here")
    if "1060" in ran.output or not ran.succeeded:
        return _not_installed(enrolled=enrolled)
    if "RUNNING" in ran.output:
        return ok(SERVICE_CHECK, "The service is running")
    return _stopped("The service does not run", enrolled=enrolled, todo=f"sc.exe start {SERVICE}")


def _not_installed(*, enrolled: bool) -> Check:
    what = "The service is not installed"
    if enrolled:
        todo = "rollcall-agent service install, if nothing else keeps `run` going"
        return warning(SERVICE_CHECK, what, todo)
    return skipped(SERVICE_CHECK, what)


def _stopped(what: str, *, enrolled: bool, todo: str) -> Check:
    if enrolled:
        return failed(SERVICE_CHECK, what, todo)
    return warning(SERVICE_CHECK, what, f"enroll this host, then {todo}")


def _word(ran: Ran) -> str:
    """Return the last line: warnings of the manager stand before it."""
    lines = ran.output.strip().splitlines()
    return lines[-1].strip() if lines else ""
