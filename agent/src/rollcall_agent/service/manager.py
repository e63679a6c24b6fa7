"""What every service manager is asked for, and which one this host has."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from rollcall_agent.clock import Clock, SystemClock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import HERE, SERVICE
from rollcall_agent.programs import Programs, Ran, Runner

TEMPORARY: Final = "tmp"


class Standing(StrEnum):
    """How a service stands."""

    RUNNING = "running"
    STOPPED = "stopped"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Definition:
    """What the service manager is told.

    Attributes:
        config: The env file, where it is not at its default place.
        target_folder: Where the env file really is, where it is a symbolic link.
        upgrades_itself: Whether the agent may write to the folder of its own binary.
    """

    binary: str
    config: str | None
    config_folder: str
    state_folder: str
    upgrades_itself: bool = True
    target_folder: str | None = None

    @property
    def temporary_folder(self) -> str:
        """Return where the one-file build unpacks itself."""
        return f"{self.state_folder}/{TEMPORARY}"

    def command(self, *words: str) -> list[str]:
        """Return the command line that the service manager starts."""
        named = ["--config", self.config] if self.config else []
        return [self.binary, *words, *named]


class Manager(Protocol):
    """One service manager. Each verb may be repeated: it changes nothing that is right already."""

    def install(self, definition: Definition, *, start: bool) -> None:
        """Make the service known, let it start with the host, and start it."""

    def uninstall(self) -> None:
        """Stop the service and make it unknown; configuration and state stay."""

    def standing(self) -> Standing:
        """Look at the service."""

    def start(self) -> None:
        """Start the service."""

    def stop(self) -> None:
        """Stop the service until it is started, or the host starts."""

    def restart(self) -> None:
        """Stop and start the service."""


def manager_for(
    platform: str, programs: Runner, clock: Clock, definition_file: Path | None
) -> Manager:
    """Return the service manager of an operating system, by what ``sys.platform`` calls it."""
    if platform == "win32":
        from rollcall_agent.service.windows import WindowsServices  # noqa: PLC0415

        return WindowsServices(programs, clock)
    if definition_file is None:
        raise AgentError(f"No service manager is known for {platform}.", ExitCode.USAGE)
    if platform == "darwin":
        from rollcall_agent.service.launchd import Launchd  # noqa: PLC0415

        return Launchd(definition_file, programs, clock)
    from rollcall_agent.service.systemd import Systemd  # noqa: PLC0415

    return Systemd(definition_file, programs)


def manager_of_this_host() -> Manager:
    """Return the service manager of the host that this runs on."""
    definition = None if HERE.definition is None else Path(HERE.definition)
    return manager_for(sys.platform, Programs.of_this_host(), SystemClock(), definition)


def demand(ran: Ran, doing: str) -> Ran:
    """Return what a program answered; end the command where it failed."""
    if ran.succeeded:
        return ran
    said = " ".join(ran.output.split())[:300]
    raise AgentError(
        f"Cannot {doing} (exit code {ran.code}): {said or 'it printed nothing'}. Next: correct "
        f"that and run the same command again; it is safe.",
        ExitCode.USAGE,
    )


def not_installed() -> AgentError:
    """Say that there is nothing to start or stop."""
    return AgentError(
        f"The service {SERVICE} is not installed. Next: rollcall-agent service install.",
        ExitCode.USAGE,
    )
