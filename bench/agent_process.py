"""The host agent as a host runs it: its memory, and what it costs while nothing happens.

It is the real process, the one-file build where `dist/` holds one, against a control plane of this
process's memory that asks for a beat every 30 seconds and for the facts once.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.processes import ProcessError
from bench.size import Size
from infra.deploy import ROOT

INTERVAL = 30
SLOWEST_START = 60.0
SAMPLES_EVERY = 5.0
AGENT_ID = "agt_bench"
_ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Plane:
    """A control plane that accepts everything."""

    beats: int = 0
    facts: int = 0
    first_beat: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a heartbeat, or the facts."""
        now = datetime.now(UTC)
        if path.endswith("/facts"):
            self.facts += 1
            return {"facts_sha256": body.get("facts_sha256"), "changed": True}
        self.beats += 1
        self.first_beat.set()
        return {
            "status": "online",
            "server_time": now.isoformat(),
            "heartbeat_interval_seconds": INTERVAL,
            "minimum_interval_seconds": 1,
            "runtime_key_issued_at": now.isoformat(),
            "runtime_key_expires_at": (now + timedelta(days=90)).isoformat(),
            "facts_wanted": self.facts == 0,
            "rotate_key": False,
            "agent_version": None,
        }


def measure(run_dir: Path, size: Size) -> dict[str, Any]:
    """Run the agent for some time after its first beat, and look at what that took."""
    if not Path("/proc/self/stat").exists():
        raise ProcessError("the agent's memory is read from /proc, which this system does not have")
    command, kind = _command()
    with _serving() as (plane, url):
        config = run_dir / "agent" / "agent.env"
        config.parent.mkdir(mode=0o700)
        config.write_text(
            f"ROLLCALL_API_BASE_URL={url}\nROLLCALL_AGENT_ID={AGENT_ID}\n"
            "ROLLCALL_AGENT_API_KEY=rca_bench\n"
        )
        config.chmod(0o600)
        with _running(command, config) as agent:
            figures = _watch(agent, plane, size)
    return {"kind": kind, "interval_seconds": INTERVAL, "beats": plane.beats, **figures}


def _command() -> tuple[list[str], str]:
    machine = platform.machine().lower()
    name = f"rollcall-agent-{sys.platform}-{_ARCHITECTURES.get(machine, machine)}"
    built = ROOT / "dist" / name
    if built.is_file():
        return [str(built)], "one-file build"
    return [sys.executable, "-m", "rollcall_agent"], "Python process"


def _watch(agent: subprocess.Popen[bytes], plane: Plane, size: Size) -> dict[str, Any]:
    if not plane.first_beat.wait(SLOWEST_START):
        raise ProcessError("the agent sent no heartbeat")
    time.sleep(size.agent_settling_seconds)
    started, before = time.monotonic(), _cpu_seconds(agent.pid)
    largest, processes = 0.0, 0
    while (elapsed := time.monotonic() - started) < size.agent_seconds:
        if agent.poll() is not None:
            raise ProcessError(f"the agent ended with {agent.returncode}")
        tree = _tree(agent.pid)
        largest = max(largest, sum(_resident(pid) for pid in tree))
        processes = len(tree)
        time.sleep(min(SAMPLES_EVERY, size.agent_seconds - elapsed))
    elapsed = time.monotonic() - started
    used = _cpu_seconds(agent.pid) - before
    return {
        "processes": processes,
        "rss_mb": round(largest / 1e6, 1),
        "cpu_seconds": round(used, 3),
        "seconds": round(elapsed, 1),
        "cpu_percent": round(100 * used / elapsed, 3),
    }


def _tree(pid: int) -> list[int]:
    """A process and its children, all the way down: the one-file build has a parent that waits."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [pid, *(found for child in children for found in _tree(int(child)))]


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1]) * 1024
    return 0.0


def _cpu_seconds(pid: int) -> float:
    """CPU of the whole tree, user and system; ended children of it are counted by their parent."""
    ticks = 0
    for process in _tree(pid):
        # The name, in parentheses, may hold blanks.
        fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS


@contextmanager
def _running(command: list[str], config: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "ROLLCALL_CONFIG": str(config),
        "TMPDIR": str(config.parent),
    }
    agent = subprocess.Popen(  # noqa: S603 - our own program
        [*command, "run"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield agent
    finally:
        # Politely first: the one-file build removes what it unpacked when it is asked to end.
        agent.terminate()
        try:
            agent.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(agent.pid, 9)
            agent.wait()


@contextmanager
def _serving() -> Iterator[tuple[Plane, str]]:
    plane = Plane()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            content = json.dumps(plane.answer(self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        do_POST = _take  # noqa: N815 - the names that http.server calls
        do_PUT = _take  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield plane, f"http://127.0.0.1:{server.server_address[1]}/bench"
    finally:
        server.shutdown()
        server.server_close()
