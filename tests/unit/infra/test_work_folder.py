"""The folders of commands: gone at the end, and of those that were killed, at the next start.

And their locks: one command of a name runs in a checkout.
"""

import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra import local, up
from infra.errors import DeployError
from infra.work_folder import only_one, work_folder

OWNER = """
import sys
from pathlib import Path
from infra.work_folder import work_folder
with work_folder(Path(sys.argv[1])) as work:
    (work / "key").write_text("of the operator")
    print(work, flush=True)
    sys.stdin.read()
"""

HOLDER = """
import sys
from pathlib import Path
from infra.work_folder import only_one
with only_one("up", Path(sys.argv[1])):
    print("holds it", flush=True)
    sys.stdin.read()
"""


@contextmanager
def child(program: str, base: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program, str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_it_is_gone_at_the_end_also_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with work_folder(tmp_path) as work:
            (work / "file").touch()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    with child(OWNER, tmp_path) as owner:
        theirs = Path(first_line(owner))
        with work_folder(tmp_path) as ours:
            assert (theirs / "key").exists()
            with work_folder(tmp_path):
                assert ours.exists(), "one of the same process is in use, too"
        owner.kill()
        owner.wait()
        assert (theirs / "key").exists()
        with work_folder(tmp_path) as ours:
            assert [path.name for path in tmp_path.iterdir()] == [ours.name]


def test_a_second_command_of_a_name_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with child(HOLDER, tmp_path) as first:
        assert first_line(first) == "holds it"
        for _ in range(2):  # a refusal takes nothing from the first one
            with (
                pytest.raises(DeployError, match="another `make up` runs in this checkout"),
                only_one("up", tmp_path),
            ):
                pass
        with only_one("local", tmp_path):
            pass
        first.communicate("")  # the end of its input ends it
        with only_one("up", tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_command_stops_no_other(tmp_path: Path) -> None:
    with child(HOLDER, tmp_path) as first:
        first_line(first)
        first.kill()
        first.wait()
        assert (tmp_path / "up.lock").exists()
        with only_one("up", tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_removed_in_the_meantime_is_no_error(tmp_path: Path) -> None:
    with only_one("up", tmp_path / "local"):
        shutil.rmtree(tmp_path / "local")


def test_a_failed_command_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), only_one("up", tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "names", "begins"),
    [(up, ["SUMMARY", "ACCOUNT"], "local_stack"), (local, ["SUMMARY"], "EmulatedCloud")],
    ids=["up", "local"],
)
def test_a_refused_command_leaves_the_files_of_the_one_that_runs(
    command: Any,
    names: list[str],
    begins: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = command.__name__.rpartition(".")[2]
    files = [tmp_path / one for one in names]
    for attribute, file in zip(names, files, strict=True):
        file.write_text("of the one that runs")
        monkeypatch.setattr(command, attribute, file)
    monkeypatch.delattr(command, begins)  # what it would start with
    monkeypatch.setattr(command, "only_one", partial(only_one, base=tmp_path))
    parser = ArgumentParser()
    command.add_arguments(parser)
    with only_one(name, tmp_path):
        assert command.run(parser.parse_args([])) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"{name}: another `make {name}` runs in this checkout; stop it first"
    assert [file.read_text() for file in files] == ["of the one that runs"] * len(files)
