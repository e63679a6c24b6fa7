"""The launchd job of macOS: its property list, and the commands around it."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.clock import Clock
from rollcall_agent.exits import ExitCode
from rollcall_agent.places import SERVICE
from rollcall_agent.programs import Ran, Runner
from rollcall_agent.service.definition_file import write_definition
from rollcall_agent.service.endings import is_final
from rollcall_agent.service.manager import Definition, Standing, demand, not_installed

LABEL: Final = SERVICE
TARGET: Final = f"system/{LABEL}"
LOG: Final = "/var/log/rollcall-agent.log"
# bootout comes back before the job is gone, and a bootstrap in between is refused.
TRIES: Final = 10
PAUSE: Final = 0.5
UMASK: Final = 0o077


def property_list(definition: Definition) -> bytes:
    """Return the job as launchd reads it."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            # Whatever ends it, also somebody's signal. `service run` unloads the job where another
            # start would not help: launchd does not tell one exit code from another.
            "ProgramArguments": definition.command("service", "run"),
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 10,
            "ExitTimeOut": 10,
            "ProcessType": "Background",
            "Umask": UMASK,
            "EnvironmentVariables": {"TMPDIR": definition.temporary_folder},
            "SoftResourceLimits": {"Core": 0},
            "HardResourceLimits": {"Core": 0},
            "StandardOutPath": LOG,
            "StandardErrorPath": LOG,
        }
    )


def leave_for_good(code: int, programs: Runner) -> None:
    """Unload our own job where another start would not help; the host's next start loads it.

    A stop that was asked for is none of these ends: `service stop` has unloaded the job already,
    and whoever else sends a signal does not end an agent.
    """
    if is_final(code) and code != ExitCode.OK:
        # An answer would come too late to matter: launchd ends this process for it.
        programs.run(["launchctl", "bootout", TARGET])


@dataclass(frozen=True)
class Launchd:
    """launchd, by launchctl."""

    file: Path
    programs: Runner
    clock: Clock

    def install(self, definition: Definition, *, start: bool) -> None:
        """Write the job; where it is to start, load it anew so that a change counts."""
        write_definition(self.file, property_list(definition))
        demand(self._launchctl("enable", TARGET), "enable the service")
        if start:
            self.restart()

    def uninstall(self) -> None:
        """Unload the job and remove it."""
        if self.file.exists():
            self._unload()
            self.file.unlink(missing_ok=True)

    def standing(self) -> Standing:
        """Ask launchd."""
        if not self.file.exists():
            return Standing.NOT_INSTALLED
        ran = self._launchctl("print", TARGET)
        is_on = ran.succeeded and "state = running" in ran.output
        return Standing.RUNNING if is_on else Standing.STOPPED

    def start(self) -> None:
        """Load the job where it is not loaded, and start it."""
        self._require_file()
        if not self._is_loaded():
            self._load()
        demand(self._launchctl("kickstart", TARGET), "start the service")

    def stop(self) -> None:
        """Unload the job: launchd would start again what it only stopped."""
        self._require_file()
        self._unload()

    def restart(self) -> None:
        """Unload and load the job."""
        self._require_file()
        self._unload()
        self.start()

    def _require_file(self) -> None:
        if not self.file.exists():
            raise not_installed()

    def _is_loaded(self) -> bool:
        return self._launchctl("print", TARGET).succeeded

    def _load(self) -> None:
        ran = Ran(1, "")
        for _ in range(TRIES):
            ran = self._launchctl("bootstrap", "system", str(self.file))
            if ran.succeeded:
                return
            self.clock.sleep(PAUSE)
        demand(ran, "load the service")

    def _unload(self) -> None:
        if self._is_loaded():
            demand(self._launchctl("bootout", TARGET), "stop the service")

    def _launchctl(self, *words: str) -> Ran:
        return self.programs.run(["launchctl", *words])
