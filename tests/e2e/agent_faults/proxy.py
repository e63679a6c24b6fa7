"""A small HTTP proxy that lets a request through and then has its client die."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

UPSTREAM_SECONDS = 30
VICTIM_SECONDS = 10
NOT_FORWARDED = {"host", "connection", "content-length", "transfer-encoding", "date", "server"}


class Fault(Enum):
    """What happens to the next request that matches."""

    KILL_BEFORE_FORWARDING = "the client dies before the control plane sees its request"
    KILL_BEFORE_ANSWER = "the client dies after the request was served, before any answer"
    KILL_WITHIN_ANSWER = "the client dies when it holds half of the answer"
    DROP_ANSWER = "the connection closes after the request was served, before any answer"
    CUT_ANSWER = "the connection closes half-way through the answer"


KILLING = {Fault.KILL_BEFORE_FORWARDING, Fault.KILL_BEFORE_ANSWER, Fault.KILL_WITHIN_ANSWER}


class FaultProxy:
    """Stands between an agent and a control plane."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # A connection that is gone before it is taken must not hold up the end of the server.
        self._server.socket.settimeout(1)
        self._server.daemon_threads = True
        self._faults: list[tuple[Fault, str]] = []
        self._victim: int | None = None
        self._has_victim = threading.Event()

    @property
    def url(self) -> str:
        """The URL to give to the agent: the upstream's path behind the proxy's own port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.upstream.path}"

    @contextmanager
    def serving(self) -> Iterator[FaultProxy]:
        """Serve for the length of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._has_victim.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def arm(self, fault: Fault, path_ending: str) -> None:
        """Strike the next request whose path ends so, once."""
        self._faults.append((fault, path_ending))

    def aim_at(self, pid: int) -> None:
        """Name the process that dies. A fault waits for this, so it may come after the start."""
        self._victim = pid
        self._has_victim.set()

    def take_fault(self, path: str) -> Fault | None:
        """Return what happens to this request."""
        for armed in self._faults:
            if path.endswith(armed[1]):
                self._faults.remove(armed)
                return armed[0]
        return None

    def kill(self) -> None:
        """Kill the process that was aimed at."""
        if self._has_victim.wait(VICTIM_SECONDS) and self._victim is not None:
            with suppress(ProcessLookupError):
                os.kill(self._victim, signal.SIGKILL)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(ProxyHandler):
            owner = proxy

        return Handler


class ProxyHandler(BaseHTTPRequestHandler):
    """Forwards one request and carries out the fault that was armed for it."""

    protocol_version = "HTTP/1.1"
    owner: FaultProxy

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_PUT(self) -> None:
        self._forward()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        pass

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # The client died between head and body: nobody forwards half a request.
            self.close_connection = True
            return
        fault = self.owner.take_fault(self.path)
        if fault is Fault.KILL_BEFORE_FORWARDING:
            self._end(fault)
            return
        head, content = self._ask_upstream(body)
        answer = head + content
        if fault in {Fault.KILL_WITHIN_ANSWER, Fault.CUT_ANSWER}:
            answer = head + content[: len(content) // 2]
        if fault not in {Fault.KILL_BEFORE_ANSWER, Fault.DROP_ANSWER}:
            self.wfile.write(answer)
            self.wfile.flush()
        if fault is not None:
            self._end(fault)

    def _end(self, fault: Fault) -> None:
        if fault in KILLING:
            self.owner.kill()
        self.close_connection = True

    def _ask_upstream(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the head and the body of the upstream's answer, as they go to the client."""
        upstream = self.owner.upstream
        connection = http.client.HTTPConnection(
            upstream.hostname or "", upstream.port, timeout=UPSTREAM_SECONDS
        )
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_FORWARDED}
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
            lines = [f"HTTP/1.1 {response.status} {response.reason}"]
            lines += [
                f"{k}: {v}" for k, v in response.getheaders() if k.lower() not in NOT_FORWARDED
            ]
            lines += [f"Content-Length: {len(content)}", "", ""]
        finally:
            connection.close()
        return "\r\n".join(lines).encode("latin-1"), content
