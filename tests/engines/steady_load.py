"""A fleet that goes on working while its agents are revoked one after the other."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Host

BEAT, ARTIFACT = "heartbeat", "artifact"
ACCEPTED = {(BEAT, 200, None), (ARTIFACT, 404, "artifact_not_found")}
"""What an agent that is let in is told; the artifact does not exist."""


@dataclass(frozen=True)
class Sent:
    """One request of an agent: when its first byte left at the earliest, and what it was told."""

    agent: str
    route: str
    at: float
    answered_at: float
    status: int
    code: str | None

    @property
    def accepted(self) -> bool:
        """Whether the agent was let in."""
        return (self.route, self.status, self.code) in ACCEPTED


class Fleet:
    """Agents that beat and ask for artifacts, each from the thread that asks.

    Args:
        stack: the stage.
        hosts: the agents, in the order in which they will be revoked.
        width: how many of them are at work at a time, around the next to be revoked.
    """

    def __init__(self, stack: LocalStack, hosts: Sequence[Host], width: int) -> None:
        self._base = f"{stack.url}/api/v1"
        self._hosts = hosts
        self._width = width
        self._sequences = dict.fromkeys((host.id for host in hosts), 1)
        self._turn = threading.Lock()
        self._own = threading.local()
        self._stopped = threading.Event()
        self.next = 0
        self.sent: list[Sent] = []

    @contextmanager
    def at_work(self, beating: int, asking: int) -> Iterator[None]:
        """Let threads beat and ask until the block ends; what fails in one fails the block."""
        with ThreadPoolExecutor(beating + asking) as pool:
            working: list[Future[None]] = [
                pool.submit(self._work, route, number, of)
                for route, of in ((BEAT, beating), (ARTIFACT, asking))
                for number in range(of)
            ]
            try:
                yield
            finally:
                self._stopped.set()
            for one in working:
                one.result()

    def send(self, host: Host, route: str) -> Sent:
        """One request, from this thread's own connection."""
        method, path, body = self._request(host, route)
        headers = {"Authorization": f"Bearer {host.key}"}
        at = time.monotonic()
        answer = self._client.request(method, self._base + path, json=body, headers=headers)
        answered_at = time.monotonic()
        told = None if answer.is_success else str(answer.json()["code"])
        sent = Sent(host.id, route, at, answered_at, answer.status_code, told)
        self.sent.append(sent)
        return sent

    def _request(self, host: Host, route: str) -> tuple[str, str, object]:
        if route == ARTIFACT:
            return "GET", host.path("artifacts/art_00000000000000000000"), None
        with self._turn:
            self._sequences[host.id] += 1
            sequence = self._sequences[host.id]
        body = {
            "sequence": sequence,
            "nonce": secrets.token_urlsafe(24),
            "instance": host.instance,
        }
        return "POST", host.path("telemetry/heartbeat"), body

    def _work(self, route: str, number: int, of: int) -> None:
        """Go round the agents at work; each belongs to one thread, so sequences stay in order."""
        while not self._stopped.is_set():
            first = max(0, self.next - self._width // 3)
            for index in range(first, min(len(self._hosts), first + self._width)):
                if index % of == number and not self._stopped.is_set():
                    self.send(self._hosts[index], route)

    @property
    def _client(self) -> httpx.Client:
        kept: httpx.Client | None = getattr(self._own, "client", None)
        if kept is None:
            kept = self._own.client = httpx.Client(timeout=60, trust_env=False)
        return kept
