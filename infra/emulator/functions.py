"""The deployed functions: a small pool of warm workers each, filled on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.emulator.worker import (
    MAX_PAYLOAD,
    FunctionSpec,
    InitError,
    Outcome,
    StillRunningError,
    Worker,
    WorkerLostError,
    failure,
)

# How often an invocation may meet a worker that died while idle before it fails.
_FRESH_WORKER_ATTEMPTS = 5
_NAME_IN_ARN = 6


@dataclass(frozen=True, slots=True)
class Invocation:
    """A direct invocation's answer, decoded."""

    payload: Any
    error: str | None
    request_id: str


class QueueTimeoutError(Exception):
    """No worker became free within the caller's patience."""


class Function:
    """One deployed function.

    Args:
        spec: What runs.
        spawn: Starts a worker for a spec.
        limit: The most workers at a time; more invocations wait.
        log_path: Where the workers' output goes.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        spawn: Callable[[FunctionSpec], Worker],
        limit: int,
        log_path: Path,
    ) -> None:
        self.log_path = log_path
        self._spec = spec
        self._spawn = spawn
        self._limit = limit
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._starting = 0
        self._stopped = False
        self._free = threading.Condition()

    @property
    def name(self) -> str:
        """The physical name."""
        return self._spec.name

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return self._spec.arn

    @property
    def timeout(self) -> float:
        """The configured timeout in seconds."""
        return self._spec.timeout

    @property
    def pids(self) -> list[int]:
        """The process ids of the warm workers."""
        with self._free:
            return [worker.pid for worker in (*self._idle, *self._busy) if worker.alive]

    @property
    def logs(self) -> str:
        """Everything that the workers wrote so far."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def invoke(self, event: object) -> Invocation:
        """Invoke synchronously, as ``RequestResponse`` does."""
        outcome = self.run(json.dumps(event).encode())
        payload = json.loads(outcome.payload) if outcome.payload else None
        return Invocation(payload, outcome.error, outcome.request_id)

    def run(self, payload: bytes, patience: float | None = None) -> Outcome:
        """Invoke with raw bytes.

        Args:
            payload: The event.
            patience: Seconds that the caller waits, or None.

        Raises:
            StillRunningError: Patience ended; the function runs on, as it does on AWS.
            QueueTimeoutError: Patience ended before a worker was free.
        """
        if len(payload) > MAX_PAYLOAD:
            return failure("RequestEntityTooLarge", "Request must be smaller than 6291456 bytes")
        until = None if patience is None else time.monotonic() + patience
        for _ in range(_FRESH_WORKER_ATTEMPTS):
            worker = self._check_out(until)
            try:
                worker.start(payload)
            except WorkerLostError:
                self._discard(worker)
                continue
            except InitError as error:
                self._discard(worker)
                return error.outcome
            except BaseException:
                self._discard(worker)
                raise
            return self._finish(worker, until)
        return failure("Runtime.ExitError", "No worker lived long enough to take the event")

    def replace(self, spec: FunctionSpec) -> None:
        """Run new code or configuration from the next invocation on."""
        with self._free:
            self._spec = spec
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for worker in idle:
            worker.stop()

    def stop(self) -> None:
        """Kill all workers, the busy ones too."""
        with self._free:
            self._stopped = True
            workers = [*self._idle, *self._busy]
            self._idle = []
            self._free.notify_all()
        for worker in workers:
            worker.stop()

    def _finish(self, worker: Worker, until: float | None) -> Outcome:
        patience = None if until is None else max(0.0, until - time.monotonic())
        try:
            outcome = worker.finish(patience)
        except StillRunningError:
            threading.Thread(target=self._finish_later, args=(worker,), daemon=True).start()
            raise
        except BaseException:
            self._discard(worker)
            raise
        self._check_in(worker)
        return outcome

    def _finish_later(self, worker: Worker) -> None:
        worker.finish()
        self._check_in(worker)

    def _check_out(self, until: float | None) -> Worker:
        with self._free:
            while True:
                if self._stopped:
                    raise QueueTimeoutError(f"{self.name} is stopped")
                while self._idle:
                    worker = self._idle.pop()
                    if worker.alive:
                        self._busy.add(worker)
                        return worker
                    worker.stop()
                if len(self._busy) + self._starting < self._limit:
                    self._starting += 1
                    spec = self._spec
                    break
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise QueueTimeoutError(f"{self.name} has no free worker")
                self._free.wait(left)
        return self._start_worker(spec)

    def _start_worker(self, spec: FunctionSpec) -> Worker:
        worker = None
        try:
            worker = self._spawn(spec)
        finally:
            with self._free:
                self._starting -= 1
                if worker is not None and not self._stopped:
                    self._busy.add(worker)
                self._free.notify()
        if self._stopped:
            worker.stop()
            raise QueueTimeoutError(f"{self.name} is stopped")
        return worker

    def _check_in(self, worker: Worker) -> None:
        with self._free:
            self._busy.discard(worker)
            current = worker.spec is self._spec and not self._stopped and worker.alive
            if current:
                self._idle.append(worker)
            self._free.notify()
        if not current:
            worker.stop()

    def _discard(self, worker: Worker) -> None:
        with self._free:
            self._busy.discard(worker)
            self._free.notify()
        worker.stop()


class Functions(Mapping[str, Function]):
    """All deployed functions by name; also found by ARN."""

    def __init__(self) -> None:
        self._by_name: dict[str, Function] = {}
        self._guard = threading.Lock()

    def __getitem__(self, name: str) -> Function:
        return self._by_name[short_name(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def put(self, spec: FunctionSpec, make: Callable[[FunctionSpec], Function]) -> None:
        """Add a function, or give the existing one new code or configuration."""
        with self._guard:
            known = self._by_name.get(spec.name)
            if known is None:
                self._by_name[spec.name] = make(spec)
                return
        known.replace(spec)

    def remove(self, name: str) -> None:
        """Stop and forget a function."""
        with self._guard:
            function = self._by_name.pop(short_name(name), None)
        if function is not None:
            function.stop()

    def stop(self) -> None:
        """Stop all."""
        with self._guard:
            functions = list(self._by_name.values())
            self._by_name = {}
        for function in functions:
            function.stop()


def short_name(name_or_arn: str) -> str:
    """The function's name out of a name, an ARN or a qualified form of either."""
    parts = name_or_arn.split(":")
    if name_or_arn.startswith("arn:") and len(parts) > _NAME_IN_ARN:
        return parts[_NAME_IN_ARN]
    return parts[0]
