"""Runs the agent as a process that dies at a chosen step.

    agent = AgentProcess(folder=tmp_path / "host", url=stack.url)
    for point in kill_points(lambda number: agent_for(number).enroll(token, kill_at=number)):
        resumed = agent_for(point.number).enroll(token)
        ...

`kill_points` ends by itself with the first run that outlives its last step.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

KILL_SWITCH = Path(__file__).with_name("kill_switch")
SLOWEST_COMMAND = 60
_TRIES = 3


@dataclass(frozen=True)
class KillPoint:
    """One run that died at its chosen step."""

    number: int
    killed: subprocess.CompletedProcess[str]


def kill_points(
    run: Callable[[int], subprocess.CompletedProcess[str]], *, first: int = 1, limit: int = 200
) -> Iterator[KillPoint]:
    """Run something again and again, each time killed one step later, until it is not.

    Args:
        run: Runs it in a fresh state with the kill switch set to the step that is given.
        first: The first step to be killed at, where those before it are another test's.
        limit: More steps than it can possibly have.
    """
    for number in range(first, limit + 1):
        result = run(number)
        if result.returncode == 0:
            return
        assert result.returncode == -signal.SIGKILL, (
            f"step {number}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
        )
        yield KillPoint(number, result)
    raise AssertionError(f"still killed at step {limit}")


def stops_within_a_second(
    process: subprocess.Popen[str], again: Callable[[], subprocess.Popen[str]]
) -> None:
    """SIGTERM ends an agent within a second.

    A machine that is busy with other tests may itself take longer: that is not the agent's doing
    unless it takes longer each time.

    Args:
        process: the agent.
        again: starts another one that does the same.
    """
    took = []
    for attempt in range(_TRIES):
        running = again() if attempt else process
        asked = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        took.append(time.monotonic() - asked)
        if took[-1] < 1:
            return
    raise AssertionError(f"it took {took} seconds")


@dataclass(frozen=True)
class AgentProcess:
    """One host's agent: a folder for its env file, and the URL that it is told."""

    folder: Path
    url: str

    @property
    def config(self) -> Path:
        """The env file, in a folder that the agent itself must create."""
        return self.folder / "etc" / "agent.env"

    @property
    def steps(self) -> Path:
        """Where a run with a kill switch writes down its steps."""
        return self.folder / "steps.log"

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the agent."""
        return [sys.executable, "-m", "rollcall_agent", *arguments]

    def environment(
        self, *, token: str | None = None, kill_at: int | None = None
    ) -> dict[str, str]:
        """Return an environment that holds nothing of the developer's own configuration."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ROLLCALL_")}
        kept |= {"ROLLCALL_CONFIG": str(self.config), "ROLLCALL_API_BASE_URL": self.url}
        if token is not None:
            kept["ROLLCALL_TOKEN"] = token
        if kill_at is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            paths = [str(KILL_SWITCH), os.environ.get("PYTHONPATH", "")]
            kept |= {
                "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                "ROLLCALL_FAULT_WATCH": str(self.folder),
                "ROLLCALL_FAULT_KILL_AT": str(kill_at),
                "ROLLCALL_FAULT_LOG": str(self.steps),
            }
        return kept

    def start(
        self, *arguments: str, token: str | None = None, kill_at: int | None = None
    ) -> subprocess.Popen[str]:
        """Start the agent and return at once; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(token=token, kill_at=kill_at),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, token: str | None = None, kill_at: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the agent to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(token=token, kill_at=kill_at),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SLOWEST_COMMAND,
            check=False,
        )

    def enroll(self, token: str, *, kill_at: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run `enroll`; with ``kill_at`` 0 it only writes its steps down."""
        return self.run("enroll", "--timeout", "30", token=token, kill_at=kill_at)

    def write(self, **settings: str) -> None:
        """Write an env file, as an enrollment before would have left it."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.config.chmod(0o600)

    def settings(self) -> dict[str, str]:
        """Read the env file the way a shell would, without the agent's own parser."""
        lines = self.config.read_text().splitlines() if self.config.exists() else []
        pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return {key: value for key, value in pairs}  # noqa: C416 - tells key from value
