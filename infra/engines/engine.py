"""An engine as a child process: started on free ports, waited for, and always ended."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.errors import DeployError

_INSTALLED = Path(sys.prefix) / "engines"
_LEASH = Path(__file__).with_name("leash.py")
_READY_SECONDS = 60.0
_TRIES = 3  # a port that was free may be somebody else's a moment later
_LAST_WORDS = 2000


class EngineError(DeployError):
    """An engine is not installed, or does not start."""


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    name: str
    url: str


@dataclass(frozen=True)
class Engines:
    """The engines behind a stage, by the variables that the SDKs read."""

    dynamodb: str
    s3: str

    @property
    def environ(self) -> dict[str, str]:
        """What points a process to them."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": self.dynamodb,
            "AWS_ENDPOINT_URL_S3": self.s3,
        }


@dataclass(frozen=True)
class Launch:
    """How an engine is started on a set of ports.

    Args:
        name: for messages.
        ports: how many it needs.
        command: its arguments for the ports.
        environ: its variables for the ports.
        health: the address that answers once it is ready.
    """

    name: str
    ports: int
    command: Callable[[Sequence[int]], Sequence[str]]
    environ: Callable[[Sequence[int]], Mapping[str, str]]
    health: str


def installed(*parts: str) -> Path:
    """The program of an engine.

    Raises:
        EngineError: it is not there.
    """
    program = _INSTALLED.joinpath(*parts)
    if not program.is_file():
        raise EngineError(f"{parts[0]} is not installed: `make engines` does it")
    return program


@contextmanager
def running(launch: Launch, folder: Path) -> Iterator[Engine]:
    """Start an engine, wait until it is ready, and end it whatever happens.

    Args:
        launch: what to start.
        folder: for its log and data; made anew, and removed at the end.

    Raises:
        EngineError: it does not become ready; its last words are in the message.
    """
    with ExitStack() as cleanup:
        folder.mkdir(parents=True)
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        for attempt in range(_TRIES):
            ports = _free_ports(launch.ports)
            process = _started(launch, ports, folder)
            cleanup.callback(_end, process)
            address = f"http://127.0.0.1:{ports[0]}"
            if _is_ready(process, address + launch.health):
                yield Engine(launch.name, address)
                return
            _end(process)
            if attempt == _TRIES - 1:
                words = (folder / "log").read_text("utf-8", "replace")[-_LAST_WORDS:]
                raise EngineError(f"{launch.name} does not start; it said:\n{words}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _started(launch: Launch, ports: Sequence[int], folder: Path) -> subprocess.Popen[bytes]:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))
    }
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-IS", str(_LEASH), *launch.command(ports)],
            cwd=folder,
            env={**environ, "TMPDIR": str(folder), **launch.environ(ports)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _is_ready(process: subprocess.Popen[bytes], health: str) -> bool:
    until = time.monotonic() + _READY_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < until:
        try:
            with opener.open(health, timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()  # lets go of the leash
    process.wait()
