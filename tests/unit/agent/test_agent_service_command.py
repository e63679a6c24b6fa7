from __future__ import annotations

import plistlib
from pathlib import Path

import pytest
from rollcall_agent.cli import app
from rollcall_agent.exits import AgentError
from rollcall_agent.places import places
from rollcall_agent.service.installing import define, prepare, remove_below, write_below
from rollcall_agent.service.log_file import LogFile
from rollcall_agent.settings import Settings
from typer.testing import CliRunner


def settings(config: Path | None = None, **environment: str) -> Settings:
    return Settings.load(config, environment)


def test_the_default_env_file_is_not_named_to_the_service_manager(tmp_path: Path) -> None:
    own = places("linux", {})
    known = define(settings(ROLLCALL_CONFIG="/etc/rollcall/agent.env"), Path("/opt/agent"), own)
    assert known.command("run") == ["/opt/agent", "run"]
    assert known.state_folder == "/var/lib/rollcall"
    other = define(settings(tmp_path / "agent.env"), Path("/opt/agent"), own)
    assert other.command("run") == ["/opt/agent", "run", "--config", f"{tmp_path}/agent.env"]
    assert other.state_folder == f"{tmp_path}/state"


def test_a_linked_env_file_is_written_where_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "agent.env").write_text("")
    link = tmp_path / "agent.env"
    link.symlink_to(tmp_path / "vault" / "agent.env")
    assert define(settings(link), None).target_folder == str(tmp_path / "vault")
    assert define(settings(tmp_path / "other.env"), None).target_folder is None


def test_a_relative_program_is_made_absolute() -> None:
    assert Path(define(settings(), Path("agent"), places("linux", {})).binary).is_absolute()


def test_an_agent_that_may_not_upgrade_itself_is_installed_so() -> None:
    own = places("linux", {})
    assert define(settings(), None, own).upgrades_itself
    assert not define(settings(ROLLCALL_SELF_UPGRADE="0"), None, own).upgrades_itself


def test_the_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("")
    prepare(define(settings(tmp_path / "etc" / "agent.env"), program))
    made = ["etc", "etc/state", "etc/state/tmp"]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in made] == [0o700] * 3


def test_a_program_that_is_not_there_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="--binary"):
        prepare(define(settings(tmp_path / "agent.env"), tmp_path / "agent"))


def test_below_a_root_only_the_definition_is_written_and_removed(tmp_path: Path) -> None:
    definition = define(settings(), Path("/opt/agent"))
    for platform in ("linux", "darwin"):
        own = places(platform, {})
        written = write_below(tmp_path, definition, platform, own)
        assert own.definition is not None
        assert written == tmp_path / str(own.definition)[1:]
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [written]
        if platform == "darwin":
            assert plistlib.loads(written.read_bytes())["RunAtLoad"] is True
        remove_below(tmp_path, own)
        assert not written.exists()


def test_the_command_writes_the_unit_below_a_root_without_touching_the_host(
    tmp_path: Path,
) -> None:
    words = ["service", "install", "--root", str(tmp_path), "--binary", "/opt/agent"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert f"Wrote {written}" in result.output


def test_the_log_of_a_service_stays_within_its_bounds(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "agent.log", lambda: 0.0, largest=100)
    for number in range(50):
        log.warn(f"line {number}")
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"agent.log", "agent.log.1"}
    assert max(sizes.values()) < 200
    assert "1970-01-01T00:00:00+00:00 warning: line 49\n" in (tmp_path / "agent.log").read_text()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    LogFile(tmp_path / "missing" / "agent.log", lambda: 0.0).result("line")
    assert list(tmp_path.iterdir()) == []
