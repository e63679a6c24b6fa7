"""Runs a server of the application, and starts it again when a source changes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.console import Say
from infra.errors import DeployError

_PAUSE_SECONDS = 0.3
_SOURCES = ("app.py", "chalicelib")
_SUFFIXES = {".py", ".sh", ".ps1"}

Snapshot = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Server:
    """What is run.

    Args:
        argv: program and arguments.
        environ: its whole environment.
        listening: a part of the line that it prints once it listens.
        url: where it listens.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    listening: str
    url: str


def snapshot(root: Path) -> Snapshot:
    """Times and sizes of the sources that the application is made of, by their paths.

    Nothing that a command of ours writes is among them: byte code, `.local/`, `build/`.
    """
    found = {}
    for name in _SOURCES:
        top = root / name
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.suffix in _SUFFIXES and path.is_file():
                status = path.stat()
                found[str(path.relative_to(root))] = (status.st_mtime_ns, status.st_size)
    return found


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Sources that were changed, added or removed."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def serve(
    server: Server,
    root: Path,
    *,
    say: Say,
    go_on: Callable[[], bool],
    pause: Callable[[], object] = lambda: time.sleep(_PAUSE_SECONDS),
) -> None:
    """Run the server until `go_on` says no, and start it again after each change of a source.

    After a change that it does not start with, it waits for the next one.

    Args:
        server: what is run.
        root: the checkout.
        say: takes its output, and what happens to it.
        go_on: asked between two looks at the sources.
        pause: between two looks.

    Raises:
        DeployError: it ended before it listened, and no source was changed.
    """
    started_before = False
    while go_on():
        seen = snapshot(root)
        with _running(server, say) as (process, listens):
            while process.poll() is None and go_on() and not changed(seen, snapshot(root)):
                pause()
            code = process.poll()
        started_before |= listens.is_set()
        if code is not None:
            if not started_before:
                raise DeployError("`chalice local` does not start; its output is above")
            say(f"`chalice local` ended with {code}; it starts again when a source changes")
            while go_on() and not changed(seen, snapshot(root)):
                pause()
        if names := changed(seen, snapshot(root)):
            say(f"changed: {', '.join(names)}; starting again")


@contextmanager
def _running(server: Server, say: Say) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
    """Start it on a leash: it ends with us, also where we are killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.engines.leash", *server.argv],
        env=dict(server.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    listens = threading.Event()

    def pass_on() -> None:
        for line in process.stdout or ():
            if line.strip():
                say(f"  {line.rstrip()}")
            if server.listening in line:
                listens.set()
                say(f"API: {server.url}")

    reader = threading.Thread(target=pass_on, daemon=True)
    reader.start()
    try:
        yield process, listens
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()
        reader.join()
