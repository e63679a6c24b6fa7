"""An operator's machine without a network: time, streams, files and a scripted control plane."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx
import pytest
from rollcall_cli.app import main
from rollcall_cli.screen import Screen
from rollcall_cli.surroundings import Surroundings

URL = "https://cp.example/prod"
KEY = "rco_org_key_secret"
ENVIRONMENT = "env_" + "1" * 20
PROJECT = "prj_" + "1" * 20
TOKEN = "tok_" + "1" * 20
AGENT = "agt_" + "1" * 20

Reply = httpx.Response | BaseException
Serve = Callable[[httpx.Request], Reply]


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def ok(body: Any = None, status: int = 200) -> httpx.Response:
    content = json.dumps({} if body is None else body).encode()
    return streamed(status, content, {"Content-Type": "application/json"})


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    body = {"status": status, "code": code, "detail": f"It is {code}.", **more}
    kind = {"Content-Type": "application/problem+json", **(headers or {})}
    return streamed(status, json.dumps(body).encode(), kind)


def streamed(status: int, content: bytes, headers: dict[str, str]) -> httpx.Response:
    """A response whose body still has to be read, as one from the network has."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


@dataclass
class Plane:
    """A control plane of scripted routes: "METHOD /path" -> replies, the last one for ever."""

    routes: dict[str, list[Reply | Serve]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, route: str, *replies: Any) -> Plane:
        self.routes[route] = list(replies)
        return self

    def serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = re.sub(r"^/prod/api/v1", "", request.url.path)
        replies = self.routes.get(f"{request.method} {path}")
        if not replies:
            replies = [problem(404, "route_not_found")]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, BaseException):
            raise reply
        # A response is read once; the last of a script is given again and again.
        return streamed(reply.status_code, _content(reply), dict(reply.headers))

    def asked(self, route: str) -> list[httpx.Request]:
        """The requests of one route."""
        method, path = route.split()
        return [
            request
            for request in self.requests
            if request.method == method and request.url.path == f"/prod/api/v1{path}"
        ]


def _content(reply: httpx.Response) -> bytes:
    stream = reply.stream
    assert isinstance(stream, httpx.ByteStream)
    return b"".join(stream)


@dataclass
class Machine:
    """Runs commands in this process."""

    home: Path
    plane: Plane = field(default_factory=Plane)
    clock: FakeClock = field(default_factory=FakeClock)
    environ: dict[str, str] = field(
        default_factory=lambda: {"ROLLCALL_API_BASE_URL": URL, "ROLLCALL_CREDENTIAL": KEY}
    )

    @property
    def credentials(self) -> Path:
        return self.home / "rollcall" / "credentials.json"

    def run(
        self,
        *arguments: str,
        stdin: str | TextIO = "",
        terminal: bool = False,
        stdout: TextIO | None = None,
    ) -> Ran:
        """Run a command; `stdout` and `stdin` may be streams that do not work."""
        kind = FakeTerminal if terminal else io.StringIO
        given = kind(stdin) if isinstance(stdin, str) else stdin
        screen = Screen(given, stdout or kind(), kind())
        around = Surroundings(
            environ={"XDG_CONFIG_HOME": str(self.home), **self.environ},
            screen=screen,
            clock=self.clock,
            transport=httpx.MockTransport(self.plane.serve),
        )
        with pytest.raises(SystemExit) as ended:
            main(arguments, around)
        code = ended.value.code
        assert isinstance(code, int)
        printed = screen.stdout.getvalue() if isinstance(screen.stdout, io.StringIO) else ""
        assert isinstance(screen.stderr, io.StringIO)
        return Ran(code, printed, screen.stderr.getvalue())


def agent(name: str = "web-1", status: str = "online", number: int = 1, **more: Any) -> Any:
    """An agent as the API shows it."""
    return {
        "agent_id": f"agt_{number:020}",
        "name": name,
        "status": status,
        "environment": ENVIRONMENT,
        "labels": {},
        "enrollment_token_id": TOKEN,
        **more,
    }


def token(**more: Any) -> Any:
    """An enrollment token as the API shows it."""
    return {
        "enrollment_token_id": TOKEN,
        "environment": ENVIRONMENT,
        "status": "active",
        "uses": 0,
        "max_uses": 1,
        "expires_at": "2026-01-01T00:00:00.000Z",
        **more,
    }


def listed(name: str, *items: Any, cursor: str | None = None) -> httpx.Response:
    """A list's page."""
    return ok({name: list(items), "next_cursor": cursor})
