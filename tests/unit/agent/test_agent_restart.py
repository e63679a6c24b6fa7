"""An agent that was upgraded starts again, whoever started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rollcall_agent.restart import SUPERVISED, start_again

BINARY = Path("/usr/local/bin/rollcall-agent")
Call = tuple[str, list[str], dict[str, str]]


def calls(
    environment: Mapping[str, str], *, binary: Path | None = BINARY, arguments: Sequence[str] = ()
) -> list[Call]:
    made: list[Call] = []

    def execute(path: str, vector: list[str], environment: dict[str, str]) -> None:
        made.append((path, vector, environment))

    start_again(environment, arguments, binary=binary, execute=execute)
    return made


def test_without_a_manager_it_becomes_the_new_program_with_its_own_arguments() -> None:
    ((path, vector, environment),) = calls(
        {"HOME": "/root", "_PYI_ARCHIVE_FILE": "old"}, arguments=["run", "--verbose"]
    )
    assert path == str(BINARY)
    assert vector == [str(BINARY), "run", "--verbose"]
    # The loader of the new program must not take itself for a part of the old one.
    assert "_PYI_ARCHIVE_FILE" not in environment
    assert environment["HOME"] == "/root"


def test_under_a_manager_the_exit_code_asks_for_the_start() -> None:
    assert calls({SUPERVISED: "1"}) == []


def test_what_is_no_one_file_build_has_nothing_to_become() -> None:
    assert calls({}, binary=None) == []
