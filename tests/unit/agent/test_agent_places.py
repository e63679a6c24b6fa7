from __future__ import annotations

import ast
import sys
from pathlib import Path, PureWindowsPath

import pytest
import rollcall_agent
from rollcall_agent.places import HERE, places, state_folder_of

ONE_SYSTEM_ONLY = {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "winreg"}


def imported(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_what_one_system_alone_has_is_imported_by_the_module_that_is_for_it() -> None:
    modules = list(Path(rollcall_agent.__path__[0]).rglob("*.py"))
    assert len(modules) > 50
    bound = [module.name for module in modules if imported(module) & ONE_SYSTEM_ONLY]
    assert bound == ["private_files_posix.py"]


def test_linux_keeps_configuration_and_state_where_the_documents_say() -> None:
    found = places("linux", {})
    assert str(found.config) == "/etc/rollcall/agent.env"
    assert str(found.state) == "/var/lib/rollcall"
    assert str(found.binary) == "/usr/local/bin/rollcall-agent"
    assert str(found.definition) == "/etc/systemd/system/rollcall-agent.service"


def test_macos_differs_from_linux_in_its_service_alone() -> None:
    linux, mac = places("linux", {}), places("darwin", {})
    assert (mac.config, mac.state, mac.binary) == (linux.config, linux.state, linux.binary)
    assert str(mac.definition) == "/Library/LaunchDaemons/rollcall-agent.plist"


def test_windows_keeps_them_where_its_environment_says() -> None:
    found = places("win32", {"ProgramData": r"D:\Data", "ProgramFiles": r"D:\Programs"})
    assert found.config == PureWindowsPath(r"D:\Data\Rollcall\agent.env")
    assert found.state == PureWindowsPath(r"D:\Data\Rollcall\state")
    assert found.binary == PureWindowsPath(r"D:\Programs\Rollcall\rollcall-agent.exe")
    assert found.definition is None


@pytest.mark.skipif(sys.platform == "win32", reason="the places of Linux and macOS")
def test_an_env_file_of_another_place_has_a_state_of_its_own(tmp_path: Path) -> None:
    assert state_folder_of(Path("/etc/rollcall/agent.env")) == Path(HERE.state)
    assert state_folder_of(tmp_path / "agent.env") == tmp_path / "state"
    below_a_prefix = tmp_path / "etc" / "rollcall" / "agent.env"
    assert state_folder_of(below_a_prefix) == tmp_path / "var" / "lib" / "rollcall"
