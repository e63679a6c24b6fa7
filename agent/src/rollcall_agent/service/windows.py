"""The service of Windows: its registration by ``sc.exe``."""

from __future__ import annotations

from dataclasses import dataclass
from subprocess import list2cmdline
from typing import Final

from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import SERVICE
from rollcall_agent.programs import Ran, Runner
from rollcall_agent.service.manager import Definition, Standing, demand, not_installed

DISPLAY_NAME: Final = "Rollcall host agent"
DESCRIPTION: Final = "Keeps this host present in its Rollcall control plane."
# Milliseconds after the first, the second and each further failure; a day without one forgets.
RECOVERY: Final = "restart/10000/restart/30000/restart/120000"
FORGETS_AFTER: Final = "86400"
ACCESS_DENIED: Final = 5
DOES_NOT_EXIST: Final = 1060
ALREADY_RUNNING: Final = 1056
NOT_STARTED: Final = 1062
TRIES: Final = 60
PAUSE: Final = 0.5
_STOPPED: Final = "1"
_PLACE_OF_STATE: Final = 2


@dataclass(frozen=True)
class WindowsServices:
    """The service control manager, by sc.exe."""

    programs: Runner
    clock: Clock

    def install(self, definition: Definition, *, start: bool) -> None:
        """Register the service or correct its registration, and start it anew."""
        # One string for the registry: quoted here, because sc.exe quotes nothing in it.
        line = list2cmdline(definition.command("service", "run"))
        if not line.startswith('"'):
            # Without quotes Windows tries C:\Program.exe first.
            line = f'"{definition.binary}"' + line.removeprefix(definition.binary)
        verb = "config" if self._exists() else "create"
        # Where LocalSystem's services start late, the network is there.
        settings = ["binPath=", line, "start=", "delayed-auto", "obj=", "LocalSystem"]
        self._demand(verb, *settings, "DisplayName=", DISPLAY_NAME, doing="register the service")
        self._demand("description", DESCRIPTION, doing="describe the service")
        recovery = ["reset=", FORGETS_AFTER, "actions=", RECOVERY]
        self._demand("failure", *recovery, doing="set the service's recovery")
        # Also where the service ends by itself with an error, and not only where it crashes.
        self._demand("failureflag", "1", doing="set the service's recovery")
        if start:
            self.restart()

    def uninstall(self) -> None:
        """Stop the service and take it out of the registry."""
        if self._exists():
            self.stop()
            self._demand("delete", doing="remove the service")

    def standing(self) -> Standing:
        """Ask the service control manager."""
        ran = self._sc("query")
        if ran.code == DOES_NOT_EXIST:
            return Standing.NOT_INSTALLED
        demand(ran, "look at the service")
        return Standing.STOPPED if _state(ran.output) == _STOPPED else Standing.RUNNING

    def start(self) -> None:
        """Start the service."""
        ran = self._sc("start")
        if ran.code != ALREADY_RUNNING:
            self._check(ran, "start the service")

    def stop(self) -> None:
        """Stop the service and wait until it has."""
        ran = self._sc("stop")
        if ran.code == NOT_STARTED:
            return
        self._check(ran, "stop the service")
        for _ in range(TRIES):
            if self.standing() is not Standing.RUNNING:
                return
            self.clock.sleep(PAUSE)
        raise AgentError(
            "The service does not stop. Next: look at its log, then try again.", ExitCode.USAGE
        )

    def restart(self) -> None:
        """Stop and start the service."""
        self.stop()
        self.start()

    def _exists(self) -> bool:
        return self.standing() is not Standing.NOT_INSTALLED

    def _demand(self, verb: str, *words: str, doing: str) -> None:
        self._check(self._sc(verb, *words), doing)

    def _check(self, ran: Ran, doing: str) -> None:
        if ran.code == DOES_NOT_EXIST:
            raise not_installed()
        if ran.code == ACCESS_DENIED:
            raise AgentError(
                f"Cannot {doing}: access is denied. Next: run this as an administrator.",
                ExitCode.USAGE,
            )
        demand(ran, doing)

    def _sc(self, verb: str, *words: str) -> Ran:
        return self.programs.run(["sc.exe", verb, SERVICE, *words])


def _state(output: str) -> str | None:
    """Find the number of the state by its place after name and type: words are translated."""
    values = [value.split() for _, mark, value in map(_parted, output.splitlines()) if mark]
    return values[_PLACE_OF_STATE][0] if len(values) > _PLACE_OF_STATE else None


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(" : " if " : " in line else ": ")
