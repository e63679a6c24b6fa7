"""One warm worker: a process under AWS's runtime client, and the Runtime API that it talks to.

Every worker has a Runtime API port of its own, as a Lambda sandbox has. The thread that wants an
invocation drives the exchange itself (answer the pending ``next``, read the result), so that a
request costs no hand-over between threads.
"""

import base64
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from infra.emulator.wire import Head, Wire, WireError, render_response

_PREFIX = "/2018-06-01/runtime/"
INIT_TIMEOUT = 25.0
# Lambda's limit for a synchronous payload, in both directions.
MAX_PAYLOAD = 6 * 1024 * 1024
_READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """What a worker runs."""

    name: str
    arn: str
    handler: str
    runtime: str
    memory: int
    timeout: float
    region: str
    code_dir: Path
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended."""

    payload: bytes
    error: str | None = None  # Lambda's FunctionError: "Unhandled"
    request_id: str = ""


class WorkerLostError(Exception):
    """The process ended before it took the event; another worker may."""


class StillRunningError(Exception):
    """The caller's patience ended before the function did."""


def failure(kind: str, message: str, request_id: str = "") -> Outcome:
    """A function error in the shape in which Lambda reports it."""
    body = {"errorMessage": message, "errorType": kind}
    return Outcome(json.dumps(body).encode(), "Unhandled", request_id)


class Worker:
    """A process and its Runtime API port."""

    def __init__(
        self, spec: FunctionSpec, environ: dict[str, str], runtime_dir: Path, log: Path
    ) -> None:
        self.spec = spec
        self._wires: list[Wire] = []
        self._waiting: Wire | None = None
        self._request_id = ""
        self._deadline = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        try:
            self._process = self._spawn(environ, runtime_dir, log)
        except BaseException:
            self._listener.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def start(self, event: bytes) -> str:
        """Wait until the runtime asks for work, and give it the event.

        Returns:
            The request id.

        Raises:
            WorkerLostError: The process ended instead.
            InitError: The module could not be loaded.
        """
        wire = self._await_next()
        self._waiting = None
        self._request_id = str(uuid.uuid4())
        self._deadline = time.monotonic() + self.spec.timeout
        try:
            wire.write(render_response(200, self._event_headers(), event, keep_alive=True))
        except OSError as error:
            raise WorkerLostError from error
        return self._request_id

    def finish(self, patience: float | None = None) -> Outcome:
        """Read the result of the started invocation.

        Args:
            patience: Seconds that the caller waits; None is as long as the function may run.

        Raises:
            StillRunningError: Patience ended; call again.
        """
        until = self._deadline
        if patience is not None:
            until = min(until, time.monotonic() + patience)
        while True:
            try:
                wire, head, body = self._next_request(until)
            except TimeoutError:
                if until < self._deadline:
                    raise StillRunningError from None
                return self._timed_out()
            except (WireError, WorkerLostError, OSError):
                return self._died()
            outcome = self._result(wire, head, body)
            if outcome is not None:
                return outcome

    def stop(self) -> None:
        """Kill the process with everything it started, and close its port."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it may end in between
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        for wire in self._wires:
            wire.close()
        self._listener.close()

    def _spawn(
        self, environ: dict[str, str], runtime_dir: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        host, port = self._listener.getsockname()[:2]
        env = {**environ, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"}
        # The base interpreter: a virtual environment's own one would bring its packages along.
        python = getattr(sys, "_base_executable", None) or sys.executable
        main = Path(__file__).with_name("worker_main.py")
        with log.open("ab") as out:
            return subprocess.Popen(
                [python, "-I", "-S", "-u", str(main), str(runtime_dir)],
                cwd=self.spec.code_dir,
                env=env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _event_headers(self) -> list[tuple[str, str]]:
        deadline_ms = int((time.time() + self.spec.timeout) * 1000)
        root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
        trace = f"Root={root};Parent={uuid.uuid4().hex[:16]};Sampled=0"
        return [
            ("Content-Type", "application/json"),
            ("Date", formatdate(usegmt=True)),
            ("Lambda-Runtime-Aws-Request-Id", self._request_id),
            ("Lambda-Runtime-Deadline-Ms", str(deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", self.spec.arn),
            ("Lambda-Runtime-Trace-Id", trace),
        ]

    def _await_next(self) -> Wire:
        if self._waiting is not None:
            if self._poll.poll(0):
                raise WorkerLostError  # whoever waits for an event says nothing: this is its end
            return self._waiting
        try:
            wire, head, body = self._next_request(time.monotonic() + INIT_TIMEOUT)
        except (WireError, WorkerLostError, OSError) as error:
            if self._request_id:
                raise WorkerLostError from error  # it died while it was idle
            message = "Runtime exited or hung before it asked for an event"
            raise InitError(failure("Runtime.ExitError", message)) from error
        if head.method == "GET" and head.target == _PREFIX + "invocation/next":
            self._waiting = wire
            return wire
        self._accept(wire)
        if head.target == _PREFIX + "init/error":
            raise InitError(Outcome(_with_type(body), "Unhandled"))
        raise WorkerLostError

    def _result(self, wire: Wire, head: Head, body: bytes) -> Outcome | None:
        own = f"{_PREFIX}invocation/{self._request_id}/"
        if head.method == "GET" and head.target == _PREFIX + "invocation/next":
            self._waiting = wire
            return None
        self._accept(wire)
        if head.target == own + "response":
            if len(body) > MAX_PAYLOAD:
                message = f"Response payload size exceeded {MAX_PAYLOAD} bytes"
                return failure("Function.ResponseSizeTooLarge", message, self._request_id)
            return Outcome(body, None, self._request_id)
        if head.target == own + "error":
            return Outcome(_with_type(body), "Unhandled", self._request_id)
        return None

    def _accept(self, wire: Wire) -> None:
        headers = [("Content-Type", "application/json")]
        wire.write(render_response(202, headers, b'{"status":"OK"}', keep_alive=True))

    def _next_request(self, until: float) -> tuple[Wire, Head, bytes]:
        while True:
            wire = next((one for one in self._wires if one.has_data), None) or self._ready(until)
            if wire is None:
                continue
            wire.sock.settimeout(max(0.001, until - time.monotonic()))
            head = wire.read_head()
            if head is not None:
                body = wire.read_body(head, _READ_LIMIT)
                wire.sock.settimeout(None)
                return wire, head, body
            self._poll.unregister(wire)
            self._wires.remove(wire)
            wire.close()

    def _ready(self, until: float) -> Wire | None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # Short waits, so that a process that dies without ever connecting is noticed.
        events = self._poll.poll(min(left, 0.1) * 1000)
        if not events and not self.alive:
            raise WorkerLostError
        for descriptor, _ in events:
            if descriptor == self._listener.fileno():
                wire = Wire(self._listener.accept()[0])
                self._wires.append(wire)
                self._poll.register(wire, select.POLLIN)
                continue
            for one in self._wires:
                if one.fileno() == descriptor:
                    return one
            raise WorkerLostError  # stopped meanwhile: its connections are closed
        return None

    def _timed_out(self) -> Outcome:
        self.stop()
        message = f"{self._request_id} Task timed out after {self.spec.timeout:.2f} seconds"
        return failure("Sandbox.Timedout", message, self._request_id)

    def _died(self) -> Outcome:
        self.stop()
        message = f"RequestId: {self._request_id} Error: Runtime exited without providing a reason"
        return failure("Runtime.ExitError", message, self._request_id)


class InitError(Exception):
    """The function's module could not be loaded; the outcome says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.payload.decode("utf-8", "replace"))
        self.outcome = outcome


def _with_type(body: bytes) -> bytes:
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    if isinstance(decoded, dict) and "errorType" in decoded:
        return body
    text = base64.b64encode(body).decode()
    return json.dumps({"errorType": "Runtime.BadError", "errorMessage": text}).encode()
