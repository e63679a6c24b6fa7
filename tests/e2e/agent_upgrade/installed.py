"""A host whose binary is a script, and processes of the agent that take themselves for it.

The agent's own code runs: only which file it runs from is told to it, because that is what
differs between the one-file build and a checkout.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rollcall_agent import __version__
from rollcall_agent.clock import SystemClock
from rollcall_agent.exits import RestartRequestedError
from rollcall_agent.own_upgrade import upgrade_of_this_process
from rollcall_agent.say import Terminal
from rollcall_agent.settings import Settings
from rollcall_agent.upgrade import Upgrade

from tests.e2e.agent_faults.kill_switch.sitecustomize import KillSwitch
from tests.unit.agent.releases import program

SURVIVED = 0
RESTART = 75


@dataclass
class Installed:
    """One host."""

    folder: Path
    url: str
    pin: str

    def __post_init__(self) -> None:
        self.binary.parent.mkdir(parents=True)
        self.binary.write_bytes(program(__version__))
        self.binary.chmod(0o755)
        (self.folder / "state").mkdir()

    @property
    def binary(self) -> Path:
        return self.folder / "bin" / "rollcall-agent"

    @property
    def version(self) -> str:
        """What the installed binary says when it is run; one that is not whole says nothing."""
        return subprocess.run(
            [self.binary, "version"], capture_output=True, text=True, check=True
        ).stdout.strip()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.binary.parent.iterdir())

    def upgrade(self) -> Upgrade:
        """Build what `run` builds."""
        environment = {"ROLLCALL_RELEASE_KEY_SHA256": self.pin}
        settings = Settings.load(self.folder / "agent.env", environment)
        return upgrade_of_this_process(settings, self.url, SystemClock(), Terminal(), self.binary)

    def process(self, work: Callable[[Upgrade], None], *, kill_at: int = 0) -> int:
        """Run a process of the agent: its start, and some work. Return its exit code."""
        child = os.fork()
        if child == 0:
            os._exit(self._lived(work, kill_at))
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    def _lived(self, work: Callable[[Upgrade], None], kill_at: int) -> int:
        try:
            if kill_at:
                import sys

                sys.addaudithook(KillSwitch(str(self.folder), kill_at, None))
            upgrade = self.upgrade()
            upgrade.at_start()
            work(upgrade)
        except RestartRequestedError:
            return RESTART
        except BaseException:  # noqa: BLE001 - a forked child must not go on in the test's frames
            return 1
        return SURVIVED
