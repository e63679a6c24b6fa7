from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files_windows import WindowsFiles
from rollcall_agent.programs import Ran

from tests.unit.agent.programs import ScriptedPrograms

ONLY_THE_SYSTEM = ["/grant:r", "*S-1-5-18:F", "*S-1-5-32-544:F", "/q"]


def no_lock(_: int) -> None:
    """Nobody else holds it."""


def saying(access: str) -> Callable[[list[str]], Ran]:
    """Answer `icacls FILE /save LIST` as Windows does: name and list, in UTF-16."""

    def save(command: list[str]) -> Ran:
        Path(command[3]).write_bytes(f"agent.env\r\n{access}\r\n".encode("utf-16-le"))
        return Ran(0, "")

    return save


def test_the_list_is_set_before_the_secret_is_written(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def look(command: list[str]) -> Ran:
        seen.append(Path(command[1]).read_bytes())
        return Ran(0, "")

    programs = ScriptedPrograms({"icacls": look})
    WindowsFiles(programs, no_lock).write_private(tmp_path / "agent.env", b"KEY=canary\n")

    assert seen == [b""]
    assert programs.commands == [
        ["icacls", str(tmp_path / ".agent.env.new"), "/inheritance:r", *ONLY_THE_SYSTEM]
    ]
    assert (tmp_path / "agent.env").read_bytes() == b"KEY=canary\n"


def test_a_file_that_cannot_be_restricted_gets_no_content(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_bytes(b"before")
    with pytest.raises(PermissionError):
        WindowsFiles(ScriptedPrograms({"icacls": Ran(5, "denied")}), no_lock).write_private(
            path, b"x"
        )
    assert [found.name for found in tmp_path.iterdir()] == ["agent.env"]
    assert path.read_bytes() == b"before"


def test_each_missing_folder_is_restricted_and_so_is_what_will_be_in_it(tmp_path: Path) -> None:
    programs = ScriptedPrograms()
    WindowsFiles(programs, no_lock).make_parents(tmp_path / "a" / "b" / "agent.env")
    assert [command[1] for command in programs.commands] == [
        str(tmp_path / "a"),
        str(tmp_path / "a" / "b"),
    ]
    assert all("*S-1-5-18:(OI)(CI)F" in command for command in programs.commands)


@pytest.mark.parametrize(
    ("access", "is_wide"),
    [
        ("D:PAI(A;;FA;;;SY)(A;;FA;;;BA)", False),
        ("D:PAI(A;;FA;;;S-1-5-18)(A;OICI;FA;;;OW)", False),
        ("D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)", True),
        ("D:(A;;FR;;;S-1-5-21-1-2-3-1001)", True),
        ("D:(D;;FA;;;BU)(A;;FA;;;SY)", False),
    ],
)
def test_a_file_is_wide_where_somebody_but_the_system_is_let_in(
    access: str, is_wide: bool, tmp_path: Path
) -> None:
    programs = ScriptedPrograms({"icacls": saying(access)})
    found = WindowsFiles(programs, no_lock).is_widely_readable(tmp_path / "agent.env")
    assert found is is_wide
    assert list(tmp_path.iterdir()) == []


def test_what_icacls_cannot_read_is_not_called_wide(tmp_path: Path) -> None:
    files = WindowsFiles(ScriptedPrograms({"icacls": Ran(2, "not found")}), no_lock)
    assert not files.is_widely_readable(tmp_path / "agent.env")


def test_a_second_writer_is_turned_away(tmp_path: Path) -> None:
    def held(_: int) -> None:
        raise PermissionError(13, "held")

    programs = ScriptedPrograms()
    with WindowsFiles(programs, no_lock).exclusive(tmp_path):
        pass
    with pytest.raises(AgentError) as refused, WindowsFiles(programs, held).exclusive(tmp_path):
        pass
    assert refused.value.exit_code is ExitCode.BUSY
