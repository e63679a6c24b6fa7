from __future__ import annotations

from pathlib import Path

import pytest
import typer
from rollcall_agent.cli import app
from rollcall_agent.commands.outcome import telling
from rollcall_agent.exits import ExitCode, RestartRequestedError
from rollcall_agent.own_upgrade import own_binary, release_platform, upgrade_of_this_process
from rollcall_agent.settings import Settings
from typer.testing import CliRunner

from tests.unit.agent.fakes import FakeClock, Lines

PIN = "a" * 64
URL = "http://127.0.0.1:1/dev"


def told(tmp_path: Path, *, binary: Path | None, **environment: str) -> list[str]:
    """Ask for a version, and return what is said about that."""
    lines = Lines()
    settings = Settings.load(tmp_path / "agent.env", environment)
    upgrade = upgrade_of_this_process(settings, URL, FakeClock(), lines, binary)
    upgrade.at_start()
    upgrade.wanted("9.9.9")
    return lines.warnings


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("linux", "x86_64", ("linux", "x86_64")),
        ("linux", "aarch64", ("linux", "arm64")),
        ("darwin", "arm64", ("darwin", "arm64")),
        ("win32", "AMD64", ("windows", "x86_64")),
        ("win32", "ARM64", ("windows", "arm64")),
    ],
)
def test_a_platform_is_called_what_releases_call_it(
    system: str, machine: str, platform: tuple[str, str]
) -> None:
    assert release_platform(system, machine) == platform


def test_a_checkout_is_not_the_one_file_build(tmp_path: Path) -> None:
    assert own_binary() is None
    (line,) = told(tmp_path, binary=None, ROLLCALL_RELEASE_KEY_SHA256=PIN)
    assert "not the one-file build" in line


def test_without_a_pinned_key_nothing_is_fetched(tmp_path: Path) -> None:
    (line,) = told(tmp_path, binary=tmp_path / "agent")
    assert "no release key is pinned" in line
    assert "ROLLCALL_RELEASE_KEY_SHA256" in line


def test_a_mistyped_pin_forbids_upgrades_and_nothing_else(tmp_path: Path) -> None:
    (line,) = told(tmp_path, binary=tmp_path / "agent", ROLLCALL_RELEASE_KEY_SHA256="abc")
    assert "not a SHA-256" in line


def test_upgrades_can_be_forbidden(tmp_path: Path) -> None:
    forbidden = {"ROLLCALL_RELEASE_KEY_SHA256": PIN, "ROLLCALL_SELF_UPGRADE": "0"}
    (line,) = told(tmp_path, binary=tmp_path / "agent", **forbidden)
    assert "ROLLCALL_SELF_UPGRADE=0" in line


def test_a_person_is_told_that_this_is_not_the_one_file_build(tmp_path: Path) -> None:
    words = ["upgrade", "--url", URL, "--config", str(tmp_path / "agent.env")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == ExitCode.USAGE
    assert "not the one-file build" in result.output


def test_an_exchanged_binary_ends_the_process_with_75() -> None:
    with pytest.raises(typer.Exit) as ended, telling():
        raise RestartRequestedError("Upgrading.")
    assert ended.value.exit_code == 75
