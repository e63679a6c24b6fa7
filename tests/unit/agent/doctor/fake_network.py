"""A network that answers as it was told, and programs that print what they were told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rollcall_agent.doctor.peer import Certificate
from rollcall_agent.doctor.servers import Proxy, Server
from rollcall_agent.doctor.wire import Fetched
from rollcall_agent.programs import NOT_FOUND, Ran

NOW = 1_790_000_000.0
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
PROBLEM = {"content-type": "application/problem+json"}


def fetched(status: int, body: object = None, at: float = NOW, **headers: str) -> Fetched:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fetched(status, {"date": DATE, **named}, content, at)


HEALTHY = fetched(200, {"status": "ok"}, content_type="application/json")


@dataclass
class FakeNetwork:
    """Each step gives what it was told, or raises it."""

    addresses: list[str] | Exception = field(default_factory=lambda: ["192.0.2.7"])
    connected: Exception | None = None
    certificate: Certificate | Exception = field(
        default_factory=lambda: Certificate("Example CA", NOW + 90 * 86400)
    )
    answer: Fetched | Exception = HEALTHY
    asked: list[tuple[object, ...]] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(("resolve", host, port))
        if isinstance(self.addresses, Exception):
            raise self.addresses
        return self.addresses

    def connect(self, server: Server, proxy: Proxy | None) -> None:
        self.asked.append(("connect", server.address, proxy and proxy.host))
        if self.connected:
            raise self.connected

    def handshake(self, server: Server, proxy: Proxy | None) -> Certificate:
        self.asked.append(("handshake", server.address, proxy and proxy.host))
        if isinstance(self.certificate, Exception):
            raise self.certificate
        return self.certificate

    def fetch(self, server: Server, proxy: Proxy | None, path: str) -> Fetched:
        self.asked.append(("fetch", server.address, proxy and proxy.host, path))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class FakePrograms:
    """Knows the programs that it was told of, by their words."""

    known: Mapping[str, Ran] = field(default_factory=dict)

    def run(self, command: Sequence[str]) -> Ran:
        return self.known.get(" ".join(command), Ran(NOT_FOUND, "not installed"))
