from __future__ import annotations

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.programs import Ran
from rollcall_agent.service.launchd import (
    LABEL,
    PAUSE,
    TRIES,
    Launchd,
    leave_for_good,
    property_list,
)
from rollcall_agent.service.manager import Definition, Standing

from tests.unit.agent.fakes import FakeClock
from tests.unit.agent.programs import ScriptedPrograms

HOST = Definition(
    binary="/usr/local/bin/rollcall-agent",
    config=None,
    config_folder="/etc/rollcall",
    state_folder="/var/lib/rollcall",
)
NOT_LOADED = Ran(113, "Could not find service")


class FakeLaunchd(ScriptedPrograms):
    """Knows whether the job is loaded; a job is gone only a while after its bootout."""

    def __init__(self, *, loaded: bool = False, lingers: int = 0) -> None:
        super().__init__(
            {
                "launchctl print": lambda _: (
                    Ran(0, "state = running") if self.loaded else NOT_LOADED
                ),
                "launchctl bootstrap": lambda _: self._bootstrap(),
                "launchctl bootout": lambda _: self._bootout(),
            }
        )
        self.loaded = loaded
        self.lingers = lingers

    def _bootstrap(self) -> Ran:
        if self.lingers:
            self.lingers -= 1
            return Ran(5, "Bootstrap failed: 5: Input/output error")
        self.loaded = True
        return Ran(0, "")

    def _bootout(self) -> Ran:
        self.loaded = False
        return Ran(0, "")

    @property
    def verbs(self) -> list[str]:
        return [command[1] for command in self.commands if command[1] != "print"]


def launchd(tmp_path: Path, programs: ScriptedPrograms, clock: FakeClock | None = None) -> Launchd:
    return Launchd(tmp_path / "rollcall-agent.plist", programs, clock or FakeClock())


def test_the_job_is_kept_alive_whatever_ends_it() -> None:
    job = plistlib.loads(property_list(replace(HOST, config="/opt/a b/agent.env")))
    assert job["Label"] == LABEL
    assert job["ProgramArguments"] == [
        "/usr/local/bin/rollcall-agent",
        "service",
        "run",
        "--config",
        "/opt/a b/agent.env",
    ]
    assert job["KeepAlive"] is True
    assert job["EnvironmentVariables"] == {"TMPDIR": "/var/lib/rollcall/tmp"}
    assert job["Umask"] == 0o077


@pytest.mark.parametrize("code", [ExitCode.USAGE, ExitCode.REFUSED, ExitCode.IDENTITY_ENDED])
def test_where_another_start_would_not_help_the_job_unloads_itself(code: int) -> None:
    programs = FakeLaunchd(loaded=True)
    leave_for_good(code, programs)
    assert programs.commands == [["launchctl", "bootout", f"system/{LABEL}"]]


@pytest.mark.parametrize("code", [ExitCode.OK, 1, ExitCode.UNREACHABLE, ExitCode.RESTART])
def test_every_other_end_leaves_the_job_loaded(code: int) -> None:
    programs = FakeLaunchd(loaded=True)
    leave_for_good(code, programs)
    assert programs.commands == []


def test_installing_loads_the_job_and_starts_it(tmp_path: Path) -> None:
    programs = FakeLaunchd()
    job = launchd(tmp_path, programs)
    job.install(HOST, start=True)
    assert programs.verbs == ["enable", "bootstrap", "kickstart"]
    assert job.file.read_bytes() == property_list(HOST)
    assert job.standing() is Standing.RUNNING


def test_installing_again_loads_the_changed_job(tmp_path: Path) -> None:
    programs = FakeLaunchd(loaded=True, lingers=2)
    clock = FakeClock()
    launchd(tmp_path, programs, clock).install(HOST, start=True)
    assert programs.verbs == ["enable", "bootout", *["bootstrap"] * 3, "kickstart"]
    assert clock.sleeps == [PAUSE, PAUSE]


def test_a_job_that_is_never_taken_is_given_up(tmp_path: Path) -> None:
    programs = FakeLaunchd(lingers=1000)
    with pytest.raises(AgentError, match="Input/output"):
        launchd(tmp_path, programs).install(HOST, start=True)
    assert programs.verbs.count("bootstrap") == TRIES


def test_not_starting_loads_nothing(tmp_path: Path) -> None:
    programs = FakeLaunchd()
    launchd(tmp_path, programs).install(HOST, start=False)
    assert programs.verbs == ["enable"]


def test_stopping_unloads_it_and_starting_loads_it_again(tmp_path: Path) -> None:
    programs = FakeLaunchd()
    job = launchd(tmp_path, programs)
    job.install(HOST, start=True)
    job.stop()
    assert job.standing() is Standing.STOPPED
    job.stop()
    job.start()
    assert job.standing() is Standing.RUNNING
    assert programs.verbs.count("bootout") == 1


def test_uninstalling_unloads_and_removes_and_is_safe_to_repeat(tmp_path: Path) -> None:
    programs = FakeLaunchd()
    job = launchd(tmp_path, programs)
    job.install(HOST, start=True)
    job.uninstall()
    job.uninstall()
    assert programs.verbs.count("bootout") == 1
    assert job.standing() is Standing.NOT_INSTALLED
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="service install"):
        launchd(tmp_path, FakeLaunchd()).start()
