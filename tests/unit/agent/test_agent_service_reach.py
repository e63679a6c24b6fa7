"""What the service's user can read and replace, and what installing the service puts right."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.programs import Ran
from rollcall_agent.service.access import make_reachable
from rollcall_agent.service.installing import define
from rollcall_agent.service.reach import (
    ALL_POWERFUL,
    BARE_ROOT,
    OF_UNIT,
    ServiceUser,
    to_read,
    to_replace,
    to_write,
    user_of_service,
)
from rollcall_agent.settings import Settings

from tests.unit.agent.fakes import Lines
from tests.unit.agent.programs import ScriptedPrograms

ME = ServiceUser(os.geteuid(), frozenset({os.getegid()}))
OTHER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
SHADOW = Path("/etc/shadow")
TEMPORARY = ("/tmp/x", "/var/tmp")  # noqa: S108 - never used


class Installation:
    """The files of one agent, in folders that are called as the installers call them."""

    def __init__(self, tmp_path: Path) -> None:
        self.config = tmp_path / "etc" / "rollcall"
        self.state = tmp_path / "var" / "lib" / "rollcall"
        for folder in (self.config, self.state, self.state / "tmp"):
            folder.mkdir(parents=True, mode=0o700)
        self.file = self.config / "agent.env"
        self.file.write_text("ROLLCALL_API_BASE_URL=https://cp.example\n")
        self.file.chmod(0o600)
        self.binary = tmp_path / "rollcall-agent"
        self.binary.write_text("")
        self.lines = Lines()

    def make_reachable(self, user: ServiceUser = ME, **environment: str) -> None:
        settings = Settings.load(self.file, environment)
        make_reachable(settings, define(settings, self.binary), user, self.lines)

    def refusal(self, user: ServiceUser = ME, **environment: str) -> AgentError:
        before = sorted((path, path.stat().st_mode) for path in self.config.rglob("*"))
        with pytest.raises(AgentError) as refused:
            self.make_reachable(user, **environment)
        assert sorted((path, path.stat().st_mode) for path in self.config.rglob("*")) == before
        assert "\n" not in refused.value.line
        assert "Next: " in refused.value.line
        return refused.value


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, stat.S_IMODE(found.st_mode)


def test_what_is_the_users_own_is_left_as_it_is(installation: Installation) -> None:
    installation.make_reachable()
    assert installation.lines.notes == []
    assert owner(installation.file) == (ME.uid, 0o600)


def test_missing_files_and_folders_are_no_obstacle(tmp_path: Path) -> None:
    assert to_replace(tmp_path / "not" / "agent.env", ME) is None
    assert to_write(tmp_path / "not" / "there", ME) is None
    assert to_read(tmp_path / "missing", ME) is None


def test_modes_count_for_a_root_without_capabilities(tmp_path: Path) -> None:
    file, folder = tmp_path / "folder" / "file", tmp_path / "folder"
    folder.mkdir()
    file.write_text("")
    for path, mode, look, command in (
        (file, 0o200, to_read, f"chmod u+r {file}"),
        (folder, 0o600, to_read, f"chmod u+x {folder}"),
        (folder, 0o500, to_replace, f"chmod u+wx {folder}"),
    ):
        path.chmod(mode)
        obstacle = look(file, ME)
        assert obstacle is not None
        assert (obstacle.path, obstacle.todo) == (path, command)
        assert to_replace(file, ALL_POWERFUL) is None
        path.chmod(0o700)


def test_a_group_and_all_others_have_their_own_bits() -> None:
    # Of the host, because the folders of the tests are closed to every other user.
    stranger, passwd, shadow = ServiceUser(OTHER, frozenset({OTHER})), Path("/etc/passwd"), SHADOW
    assert to_read(passwd, stranger) is None
    assert to_write(passwd.parent, stranger) is not None
    assert to_read(shadow, stranger) is not None
    member = ServiceUser(OTHER, frozenset({shadow.stat().st_gid}))
    assert (to_read(shadow, member) is None) is bool(shadow.stat().st_mode & stat.S_IRGRP)


@as_root
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o000])
def test_an_env_file_of_another_user_is_given_to_the_services(
    installation: Installation, mode: int
) -> None:
    os.chown(installation.file, OTHER, OTHER)
    installation.file.chmod(mode)
    blocked = to_replace(installation.file, BARE_ROOT)
    assert blocked is not None
    assert f"belongs to user {OTHER} and cannot be read by the service" in blocked.what
    installation.make_reachable(BARE_ROOT)
    assert owner(installation.file) == (0, 0o600)
    assert len(installation.lines.notes) == 1
    assert installation.file.read_text().startswith("ROLLCALL_API_BASE_URL=")


@as_root
def test_the_folders_of_the_agent_are_given_to_the_services_user(
    installation: Installation,
) -> None:
    given = [installation.config, installation.state, installation.state / "tmp"]
    for path in given:
        os.chown(path, OTHER, OTHER)
    installation.make_reachable(BARE_ROOT)
    assert [owner(path) for path in given] == [(0, 0o700)] * 3


@as_root
def test_a_file_below_somebodys_folder_is_refused_and_the_folder_left(tmp_path: Path) -> None:
    home = tmp_path / "alice"
    home.mkdir(mode=0o700)
    installation = Installation(home)
    os.chown(home, OTHER, OTHER)
    error = installation.refusal(BARE_ROOT)
    assert error.exit_code is ExitCode.UNREADY
    assert f"{home} belongs to user {OTHER}" in error.line
    assert owner(home) == (OTHER, 0o700)


@as_root
def test_a_file_with_a_second_name_is_not_given_away(installation: Installation) -> None:
    (installation.config / "other").hardlink_to(installation.file)
    os.chown(installation.file, OTHER, OTHER)
    assert f"chown 0 {installation.file}" in installation.refusal(BARE_ROOT).line
    assert owner(installation.file)[0] == OTHER


@as_root
def test_a_linked_env_file_is_given_and_its_folder_is_not(
    installation: Installation, tmp_path: Path
) -> None:
    vault = tmp_path / "vault"
    vault.mkdir(mode=0o700)
    target = installation.file.rename(vault / "agent.env")
    installation.file.symlink_to(target)
    os.chown(target, OTHER, OTHER)
    installation.make_reachable(BARE_ROOT)
    assert owner(target) == (0, 0o600)
    os.chown(vault, OTHER, OTHER)
    assert f"{vault} belongs to user {OTHER}" in installation.refusal(BARE_ROOT).line


@as_root
def test_a_folder_that_keeps_files_to_their_owners_keeps_another_from_replacing_them(
    tmp_path: Path,
) -> None:
    folder, file = tmp_path / "shared", tmp_path / "shared" / "agent.env"
    folder.mkdir()
    file.write_text("")
    file.chmod(0o644)
    for path in (folder, file):
        os.chown(path, OTHER, OTHER)
    folder.chmod(0o1777)
    obstacle = to_replace(file, BARE_ROOT)
    assert obstacle is not None
    assert "cannot be replaced" in obstacle.what


@pytest.mark.parametrize("place", ["/home/alice", "/root", "/run/user/1", *TEMPORARY])
def test_a_place_that_the_unit_hides_is_refused(place: str) -> None:
    for look in (to_read, to_replace, to_write):
        obstacle = look(Path(place) / "agent.env", OF_UNIT)
        assert obstacle is not None
        assert obstacle.is_hidden
    assert to_read(Path("/homeless/agent.env"), OF_UNIT) is None


def test_a_hidden_env_file_is_a_usage_error(installation: Installation) -> None:
    user = ServiceUser(ME.uid, ME.gids, hidden=(str(installation.config),))
    error = installation.refusal(user)
    assert error.exit_code is ExitCode.USAGE
    assert "does not see" in error.line


@pytest.mark.parametrize("named", ["ca.pem", "./ca.pem", "../ca.pem"])
def test_a_relative_bundle_is_refused(installation: Installation, named: str) -> None:
    installation.file.write_text(f"ROLLCALL_CA_BUNDLE={named}\n")
    assert installation.refusal().exit_code is ExitCode.USAGE


def test_a_bundle_that_is_missing_or_no_pem_is_refused(installation: Installation) -> None:
    bundle = installation.config / "ca.pem"
    installation.file.write_text(f"ROLLCALL_CA_BUNDLE={bundle}\n")
    assert installation.refusal().exit_code is ExitCode.UNREADY
    bundle.write_text("hello\n")
    assert installation.refusal().exit_code is ExitCode.USAGE


def test_the_environment_of_the_installing_shell_does_not_count(
    installation: Installation,
) -> None:
    installation.make_reachable(
        ROLLCALL_CA_BUNDLE="/nonexistent/ca.pem", ROLLCALL_STATE_FILE="/nonexistent/x"
    )


def shown(**properties: str) -> ScriptedPrograms:
    lines = {"LoadState": "loaded", "User": "", "Group": "", "CapabilityBoundingSet": ""}
    text = "".join(f"{name}={value}\n" for name, value in {**lines, **properties}.items())
    return ScriptedPrograms(
        {
            "systemctl show": Ran(0, text),
            "id -u rollcall": Ran(0, "990\n"),
            "id -G rollcall": Ran(0, "990 4\n"),
            "id -u nobody-here": Ran(1, "id: 'nobody-here': no such user\n"),
            "getent group backup": Ran(0, "backup:x:34:\n"),
        }
    )


@pytest.mark.parametrize(
    ("properties", "user"),
    [
        ({}, BARE_ROOT),
        ({"User": "root", "ProtectHome": "yes", "PrivateTmp": "yes"}, OF_UNIT),
        ({"ProtectHome": "read-only", "PrivateTmp": "no"}, BARE_ROOT),
        ({"CapabilityBoundingSet": "cap_dac_read_search"}, ServiceUser(reads_all=True)),
        ({"CapabilityBoundingSet": "cap_chown cap_dac_override"}, ALL_POWERFUL),
        (
            {"User": "rollcall", "CapabilityBoundingSet": "cap_dac_override"},
            ServiceUser(990, frozenset({990, 4})),
        ),
        ({"User": "rollcall", "Group": "backup"}, ServiceUser(990, frozenset({990, 4, 34}))),
        ({"User": "nobody-here"}, None),
        ({"LoadState": "not-found"}, None),
    ],
)
def test_systemd_says_as_whom_the_service_runs(
    properties: dict[str, str], user: ServiceUser | None
) -> None:
    assert user_of_service("linux", shown(**properties)) == user


def test_other_service_managers_have_a_root_that_may_all_things() -> None:
    assert user_of_service("darwin", ScriptedPrograms()) == ALL_POWERFUL
    assert user_of_service("win32", ScriptedPrograms()) is None
    absent = ScriptedPrograms({"systemctl": Ran(127, ""), "launchctl": Ran(113, "")})
    assert user_of_service("linux", absent) is None
    assert user_of_service("darwin", absent) is None
