import os
import sys
import time
from pathlib import Path

import pytest

from infra.children import run_child
from infra.errors import DeployError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run(code: str, directory: Path, lines: list[str]) -> None:
    run_child(python(code), cwd=directory, environ=os.environ, say=lines.append, what="it")


def test_output_is_passed_on_line_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    run("import sys; print('one'); print('two', file=sys.stderr)", tmp_path, lines)
    assert sorted(lines) == ["  one", "  two"]


def test_a_failure_names_the_program(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="it failed with exit code 3"):
        run("raise SystemExit(3)", tmp_path, [])


def test_an_interruption_ends_the_child_and_its_children(tmp_path: Path) -> None:
    # The grandchild holds the pipe open too: only ending the group ends it.
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child(python(code), cwd=tmp_path, environ=os.environ, say=interrupt, what="it")
    assert ended(pids[0])


def ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be collected by whoever adopted it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat")
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False
