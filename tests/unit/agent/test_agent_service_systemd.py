from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError
from rollcall_agent.programs import NOT_FOUND, Ran
from rollcall_agent.restart import SUPERVISED
from rollcall_agent.service.manager import Definition, Standing, manager_for
from rollcall_agent.service.systemd import Systemd, unit

from tests.unit.agent.fakes import FakeClock
from tests.unit.agent.programs import ScriptedPrograms

UNIT = "rollcall-agent.service"
HOST = Definition(
    binary="/usr/local/bin/rollcall-agent",
    config=None,
    config_folder="/etc/rollcall",
    state_folder="/var/lib/rollcall",
)
MOST_EXPOSURE = 2.0


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def installed(tmp_path: Path, programs: ScriptedPrograms) -> Systemd:
    systemd = Systemd(tmp_path / UNIT, programs)
    systemd.install(HOST, start=False)
    programs.commands.clear()
    return systemd


def test_the_unit_starts_the_agent_again_except_where_that_cannot_help() -> None:
    found = settings(unit(HOST))
    assert found["ExecStart"] == ["/usr/local/bin/rollcall-agent run"]
    assert found["Restart"] == ["always"]
    assert found["RestartPreventExitStatus"] == ["2 3 6"]
    assert found["SuccessExitStatus"] == found["RestartForceExitStatus"] == ["75"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_the_one_file_build_unpacks_itself_below_the_state_folder() -> None:
    found = settings(unit(HOST))
    assert found["Environment"] == ["TMPDIR=/var/lib/rollcall/tmp", f"{SUPERVISED}=1"]
    assert found["StateDirectory"] == ["rollcall rollcall/tmp"]
    assert found["StateDirectoryMode"] == ["0700"]
    assert "/var/lib/rollcall/tmp" in found["ExecStartPre"][0]


def test_only_an_agent_that_upgrades_itself_may_write_to_the_folder_of_its_binary() -> None:
    upgrading, fixed = unit(HOST), unit(replace(HOST, upgrades_itself=False))
    own = "/etc/rollcall /var/lib/rollcall"
    assert settings(upgrading)["ReadWritePaths"] == [f"{own} /usr/local/bin"]
    assert settings(fixed)["ReadWritePaths"] == [own]


def test_the_folder_that_a_linked_env_file_really_is_in_may_be_written_too() -> None:
    linked = replace(HOST, target_folder="/srv/vault")
    (folders,) = settings(unit(linked))["ReadWritePaths"]
    assert folders == "/etc/rollcall /srv/vault /var/lib/rollcall /usr/local/bin"


def test_stopping_tells_the_first_process_and_leaves_none() -> None:
    assert settings(unit(HOST))["KillMode"] == ["mixed"]


def test_the_unit_says_why_it_is_root_and_takes_every_capability_away() -> None:
    text = unit(HOST)
    assert "# Root by design." in text
    assert settings(text)["CapabilityBoundingSet"] == [""]
    assert settings(text)["NoNewPrivileges"] == ["yes"]


def test_root_sees_no_more_of_the_host_than_its_own_folders() -> None:
    found = settings(unit(HOST))
    assert found["ProtectSystem"] == ["strict"]
    kept_apart = ("ProtectHome", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute")
    assert [found[name] for name in kept_apart] == [["yes"]] * len(kept_apart)
    assert found["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert found["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX AF_NETLINK"]
    assert found["UMask"] == ["0077"]


def test_a_path_cannot_say_anything_but_a_path_to_systemd() -> None:
    odd = replace(HOST, binary="/opt/a b/%h$HOME/x", config='/opt/"c"/agent.env')
    (command,) = settings(unit(replace(odd, upgrades_itself=False)))["ExecStart"]
    assert command == r'"/opt/a b/%%h$$HOME/x" run --config "/opt/\"c\"/agent.env"'


@pytest.mark.parametrize(
    "odd",
    [
        replace(HOST, config="/opt/a\nExecStartPre=/bin/sh"),
        replace(HOST, config_folder="/opt/a b"),
        replace(HOST, state_folder="/opt/%h"),
    ],
)
def test_a_folder_that_would_need_quoting_is_refused(odd: Definition) -> None:
    with pytest.raises(AgentError):
        unit(odd)


def test_installing_writes_enables_and_starts_anew(tmp_path: Path) -> None:
    programs = ScriptedPrograms()
    Systemd(tmp_path / "system" / UNIT, programs).install(HOST, start=True)
    assert (tmp_path / "system" / UNIT).read_text() == unit(HOST)
    assert (tmp_path / "system" / UNIT).stat().st_mode & 0o777 == 0o644
    assert programs.commands == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", UNIT],
        ["systemctl", "reset-failed", UNIT],
        ["systemctl", "restart", UNIT],
    ]


def test_installing_again_leaves_one_unit_and_no_other_file(tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / UNIT, ScriptedPrograms())
    systemd.install(HOST, start=False)
    systemd.install(replace(HOST, upgrades_itself=False), start=False)
    assert [path.name for path in tmp_path.iterdir()] == [UNIT]
    assert (tmp_path / UNIT).read_text() == unit(replace(HOST, upgrades_itself=False))


def test_not_starting_is_possible(tmp_path: Path) -> None:
    programs = ScriptedPrograms()
    Systemd(tmp_path / UNIT, programs).install(HOST, start=False)
    assert [command[1] for command in programs.commands] == ["daemon-reload", "enable"]


def test_uninstalling_stops_it_and_is_safe_to_repeat(tmp_path: Path) -> None:
    programs = ScriptedPrograms()
    systemd = installed(tmp_path, programs)
    systemd.uninstall()
    systemd.uninstall()
    assert programs.commands == [
        ["systemctl", "disable", "--now", UNIT],
        ["systemctl", "daemon-reload"],
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "standing"),
    [
        (Ran(0, "active\n"), Standing.RUNNING),
        (Ran(3, "activating\n"), Standing.RUNNING),
        (Ran(3, "inactive\n"), Standing.STOPPED),
        (Ran(3, "failed\n"), Standing.STOPPED),
    ],
)
def test_its_standing_is_what_systemd_says(said: Ran, standing: Standing, tmp_path: Path) -> None:
    systemd = installed(tmp_path, ScriptedPrograms({"systemctl is-active": said}))
    assert systemd.standing() is standing


def test_what_is_not_installed_is_neither_started_nor_asked_about(tmp_path: Path) -> None:
    programs = ScriptedPrograms()
    systemd = Systemd(tmp_path / UNIT, programs)
    assert systemd.standing() is Standing.NOT_INSTALLED
    for verb in (systemd.start, systemd.stop, systemd.restart):
        with pytest.raises(AgentError, match="service install"):
            verb()
    assert programs.commands == []


def test_a_host_without_systemd_is_told_what_to_do(tmp_path: Path) -> None:
    programs = ScriptedPrograms({"systemctl": Ran(NOT_FOUND, "systemctl is not installed")})
    with pytest.raises(AgentError, match="rollcall-agent run"):
        Systemd(tmp_path / UNIT, programs).install(HOST, start=True)


def test_what_systemctl_complains_about_is_told(tmp_path: Path) -> None:
    programs = ScriptedPrograms({"systemctl": Ran(1, "Access denied\n")})
    with pytest.raises(AgentError, match="Access denied"):
        Systemd(tmp_path / UNIT, programs).install(HOST, start=True)


def test_each_system_gets_its_own_manager(tmp_path: Path) -> None:
    kinds = [
        type(manager_for(platform, ScriptedPrograms(), FakeClock(), tmp_path)).__name__
        for platform in ("linux", "darwin", "win32")
    ]
    assert kinds == ["Systemd", "Launchd", "WindowsServices"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_itself_takes_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    path = tmp_path / UNIT
    path.write_text(unit(replace(HOST, binary="/bin/true")))
    verified = analyze("verify", "--man=no", str(path))
    complaints = [
        line
        for line in verified.stderr.splitlines()
        # systemd before 254 does not know the two keys of the growing delay, and says so.
        if "RestartSteps" not in line and "RestartMaxDelaySec" not in line
    ]
    assert (verified.returncode, complaints) == (0, [])

    rated = analyze("security", "--offline=true", "--no-pager", str(path))
    if "option '--offline" in rated.stderr:
        pytest.skip("this systemd-analyze cannot rate a file")
    (line,) = [line for line in rated.stdout.splitlines() if "Overall exposure level" in line]
    assert float(line.split(":")[1].split()[0]) <= MOST_EXPOSURE


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["systemd-analyze", *words],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
