"""Runs `python -m infra …` in a clone, and looks for what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLOWEST = 180.0
PROC = Path("/proc")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Command:
    """A command under way."""

    process: subprocess.Popen[bytes]
    folder: Path
    output: Path

    @property
    def said(self) -> str:
        """Its output so far."""
        return self.output.read_text("utf-8", "replace")

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Look until there is something to see; fail if the command ends before."""
        ends = time.monotonic() + SLOWEST
        while not (found := look()):
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said}"
            assert time.monotonic() < ends, f"{what} did not come:\n{self.said}"
            time.sleep(0.02)
        return found

    def until_said(self, text: str) -> None:
        """Wait for a part of its output."""
        self.until(lambda: text in self.said, repr(text))

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal as a terminal does: to the command's whole process group."""
        with suppress(ProcessLookupError):  # it may have ended by now
            os.killpg(self.process.pid, number)

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(SLOWEST)

    def leftovers(self, seconds: float = 5.0) -> list[str]:
        """Processes of the command that are still there after a while."""
        ends = time.monotonic() + seconds
        while (found := list(_processes_of(self.folder))) and time.monotonic() < ends:
            time.sleep(0.05)
        return found

    def files(self) -> list[str]:
        """What is below `.local/`."""
        return sorted(path.name for path in (self.folder / ".local").glob("*"))


@contextmanager
def running(folder: Path, *arguments: str, **environ: str) -> Iterator[Command]:
    """Run a command in a clone; nothing of it is alive when the block ends."""
    output = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"
    with output.open("wb") as sink, _as_from_a_terminal():
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", *arguments],
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Command(process, folder, output)
    finally:
        process.kill()
        process.wait()
        for line in _processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


@contextmanager
def _as_from_a_terminal() -> Iterator[None]:
    """Let a child hear the signals that end it, also where this process was told to ignore them.

    That is inherited, and a command respects it: from `nohup` for SIGHUP, from a shell that
    starts something in the background for SIGINT.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _processes_of(folder: Path) -> Iterator[str]:
    """Processes that work in a folder or hold something of it: their working directory,
    environment or arguments name it. Zombies have ended."""
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            held = (command, (entry / "environ").read_bytes(), bytes((entry / "cwd").readlink()))
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and any(bytes(folder) in part for part in held):
                yield f"{entry.name} {command.decode(errors='replace')}".replace("\0", " ")
