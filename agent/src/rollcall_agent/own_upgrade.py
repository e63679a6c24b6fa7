"""The upgrade of this very process: which binary it is, and what may replace it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollcall_agent import __version__
from rollcall_agent.binary_files import BinaryFiles, binaries_of
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError
from rollcall_agent.say import Say
from rollcall_agent.settings import Settings
from rollcall_agent.upgrade import Upgrade
from rollcall_agent.upgrade_memory import UpgradeMemory
from rollcall_agent.upgrade_settings import (
    RELEASE_KEY,
    SELF_UPGRADE,
    release_key,
    state_folder,
    upgrades_itself,
)

if TYPE_CHECKING:
    from rollcall_agent.staging import Staged, Staging

_SYSTEMS: Final = {"win32": "windows"}
_ARCHITECTURES: Final = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


def own_binary() -> Path | None:
    """Return the one-file build that this process runs from, or None where it is none."""
    if not getattr(sys, "frozen", False):
        return None
    return Path(os.path.realpath(sys.executable))


def release_platform(system: str, machine: str) -> tuple[str, str]:
    """Return what releases call an operating system and an architecture."""
    name = machine.lower()
    return _SYSTEMS.get(system, system), _ARCHITECTURES.get(name, name)


@dataclass(frozen=True)
class LateStaging:
    """Stages with parts that are imported for it: a process that is up to date needs none."""

    settings: Settings
    url: str | None
    files: BinaryFiles
    clock: Clock
    pin: str

    def stage(self, version: str) -> Staged:
        """Stage a version."""
        return self.build().stage(version)

    def build(self) -> Staging:
        """Return the staging itself."""
        from rollcall_agent.downloads import Downloads  # noqa: PLC0415
        from rollcall_agent.programs import Programs  # noqa: PLC0415
        from rollcall_agent.staging import Staging  # noqa: PLC0415

        releases = Downloads(
            self.settings.base_url(self.url),
            self.clock,
            allow_http=self.settings.allow_http,
            ca_bundle=self.settings.ca_bundle(),
        )
        os_name, arch = release_platform(sys.platform, platform.machine())
        programs = Programs.of_this_host()
        return Staging(releases, self.files, programs, self.pin, os_name, arch)


def upgrade_of_this_process(
    settings: Settings, url: str | None, clock: Clock, say: Say, binary: Path | None = None
) -> Upgrade:
    """Build the upgrade of a binary; by default of the one that this process runs from.

    It asks the settings for nothing that they may lack: a version on trial is counted before
    anything else can end it.
    """
    binary = binary or own_binary()
    try:
        pin, refusal = release_key(settings), None
    except AgentError as error:
        # A pin that is mistyped must not keep a host from beating.
        pin, refusal = None, error.line
    files = binaries_of(sys.platform, binary) if binary is not None else None
    stage = LateStaging(settings, url, files, clock, pin) if files and pin else None
    return Upgrade(
        version=__version__,
        refusal=refusal or _refusal(settings, binary, pin),
        files=files,
        stage=stage,
        memory=UpgradeMemory(state_folder(settings)),
        clock=clock,
        say=say,
    )


def _refusal(settings: Settings, binary: Path | None, pin: str | None) -> str | None:
    try:
        if not upgrades_itself(settings):
            return f"{SELF_UPGRADE}=0 forbids upgrades"
    except AgentError as error:
        return error.line
    if binary is None:
        return "this agent is not the one-file build and cannot replace itself"
    if pin is None:
        return (
            f"no release key is pinned. Next: write {RELEASE_KEY}=<fingerprint> into "
            f"{settings.path}; the mint shows the fingerprint"
        )
    return None
