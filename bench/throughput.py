"""Heartbeats and exchanges per second, with how long callers wait.

Callers are threads of the bench; the function runs in as many processes as the machine has
cores, and a caller waits for a free one, as under Lambda's reserved concurrency. They are asked
directly: a gateway in between would be Python on the same cores, and be measured with.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.figures import percentile
from bench.fleet import Agent, Tenant, answered, exchange
from bench.processes import Event, FunctionProcess, require
from bench.size import Size

PROCESSES = os.cpu_count() or 1
Idle = queue.SimpleQueue[FunctionProcess]
Ask = Callable[[], Event]


def measure(
    package: Path, environ: Mapping[str, str], tenant: Tenant, agents: list[Agent], size: Size
) -> dict[str, Any]:
    """At each number of clients, first heartbeats and then exchanges."""
    seconds = size.throughput_seconds
    with _processes(package, environ) as idle:
        beats = {str(n): _run(idle, _beating(agents, n), 200, seconds) for n in size.clients}
        tokens = {n: [_token(idle, tenant) for _ in range(n)] for n in size.clients}
        exchanges = {
            str(n): _run(idle, [_exchanging(token) for token in tokens[n]], 201, seconds)
            for n in size.clients
        }
    return {
        "function_processes": PROCESSES,
        "seconds": seconds,
        "heartbeats": beats,
        "exchanges": exchanges,
    }


@contextmanager
def _processes(package: Path, environ: Mapping[str, str]) -> Iterator[Idle]:
    idle: Idle = queue.SimpleQueue()
    with ExitStack() as stack:
        for _ in range(PROCESSES):
            idle.put(stack.enter_context(FunctionProcess(package, environ)))
        yield idle


def _beating(agents: list[Agent], clients: int) -> list[Ask]:
    """Each client beats for agents of its own, so that none comes too soon."""
    answered(agents)
    return [_Beats(agents[number::clients]) for number in range(clients)]


class _Beats:
    """Beats of some agents in turn."""

    def __init__(self, own: list[Agent]) -> None:
        self._turns = cycle(own)
        self._last: Agent | None = None

    def __call__(self) -> Event:
        if self._last is not None:
            answered([self._last])
        self._last = next(self._turns)
        return self._last.beat()


def _exchanging(token: str) -> Ask:
    return lambda: exchange(token)


def _token(idle: Idle, tenant: Tenant) -> str:
    process = idle.get()
    try:
        return str(tenant.mint(process)["token"])
    finally:
        idle.put(process)


def _run(idle: Idle, clients: list[Ask], status: int, seconds: float) -> dict[str, float]:
    waits: list[float] = []
    failures: list[BaseException] = []
    until = time.monotonic() + seconds

    def client(ask: Ask) -> None:
        try:
            while time.monotonic() < until and not failures:
                waits.append(_timed(idle, ask(), status))
        except BaseException as error:  # noqa: BLE001 - told to whoever measures
            failures.append(error)

    threads = [threading.Thread(target=client, args=(ask,), daemon=True) for ask in clients]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    if failures:
        raise failures[0]
    figures = {f"p{percent}_ms": round(percentile(waits, percent), 2) for percent in (50, 95, 99)}
    return {"per_second": round(len(waits) / elapsed, 1), **figures}


def _timed(idle: Idle, event: Event, status: int) -> float:
    started = time.perf_counter()
    process = idle.get()
    try:
        require(process.call([event]), status)
    finally:
        idle.put(process)
    return (time.perf_counter() - started) * 1000
