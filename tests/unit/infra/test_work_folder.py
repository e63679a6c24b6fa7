"""The folders of commands: gone at the end, and of those that were killed, at the next start."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.work_folder import work_folder

OWNER = """
import sys
from pathlib import Path
from infra.work_folder import work_folder
with work_folder(Path(sys.argv[1])) as work:
    (work / "key").write_text("of the operator")
    print(work, flush=True)
    sys.stdin.read()
"""


def test_it_is_gone_at_the_end_also_after_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with work_folder(tmp_path) as work:
            (work / "file").touch()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    owner = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert owner.stdout is not None
        theirs = Path(owner.stdout.readline().strip())
        with work_folder(tmp_path) as ours:
            assert (theirs / "key").exists()
            with work_folder(tmp_path):
                assert ours.exists(), "one of the same process is in use, too"
        owner.kill()
        owner.wait()
        assert (theirs / "key").exists()
        with work_folder(tmp_path) as ours:
            assert [path.name for path in tmp_path.iterdir()] == [ours.name]
    finally:
        owner.kill()
        owner.communicate()
