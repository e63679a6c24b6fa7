"""Many short lives of the agent from one process that has loaded it already.

A kill at each step needs a new process for each; starting Python and loading the agent is most of
what such a process does. This one forks instead, before anything of the agent has run, and the
fork arms the kill switch, redirects its output and enters the agent as the console script does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

from tests.e2e.agent_faults.harness import KILL_SWITCH, SLOWEST_COMMAND, AgentProcess

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Zygote:
    """The process that forks."""

    process: subprocess.Popen[str]
    output: Path

    def run(
        self,
        agent: AgentProcess,
        *arguments: str,
        token: str | None = None,
        kill_at: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the agent to its end, as ``AgentProcess.run`` does."""
        job = {
            "arguments": arguments,
            "environment": agent.environment(token=token, kill_at=kill_at),
            "output": str(self.output),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        stdout, stderr = ((self.output / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(list(arguments), code, stdout, stderr)


@contextmanager
def zygote() -> Iterator[Zygote]:
    """Keep one for the length of the block."""
    with (
        tempfile.TemporaryDirectory() as output,
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.agent_faults.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            yield Zygote(process, Path(output))
        finally:
            process.kill()


def _serve(jobs: IO[str]) -> None:
    """Fork once for each job, and say how each ended."""
    from rollcall_agent.cli import app

    # The first command loads what every command needs; the forks then have it.
    with redirect_stdout(StringIO()):
        app(["version"], standalone_mode=False)
    for line in jobs:
        child = os.fork()
        if child == 0:
            _live(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _live(job: dict[str, Any]) -> None:
    """Be the agent, and never return."""
    # Nobody waits for a life that does not end.
    signal.alarm(SLOWEST_COMMAND)
    code = 1
    try:
        # The jobs come in there, and a question of the agent must not eat one.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            path = Path(job["output"]) / name
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os.environ.clear()
        os.environ.update(job["environment"])
        sys.argv = ["rollcall-agent", *job["arguments"]]
        spec = importlib.util.spec_from_file_location("armed", KILL_SWITCH / "sitecustomize.py")
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        from rollcall_agent.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - said and turned into an exit code, as Python does
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.stdin)
