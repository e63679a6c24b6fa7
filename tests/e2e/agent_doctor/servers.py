"""A control plane behind TLS, and a proxy, each on a free port of this host."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from typing import Any

ADMITS = {
    "admits": True,
    "environment": "env_test",
    "expires_at": "2030-01-01T00:00:00.000Z",
    "uses_left": 1,
}


@dataclass
class Seen:
    """What arrived at a server."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Handshakes are refused on purpose."""


@contextmanager
def control_plane(tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, Seen]]:
    """Serve a stage `/prod`; below it what the doctor asks for, beside it API Gateway's refusal."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/prod/healthz"
            self._answer(found, {"status": "ok"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(self.path == "/prod/api/v1/agent-enrollment/check", ADMITS)

        def _answer(self, found: bool, body: dict[str, Any]) -> None:
            seen.requests.append((self.command, self.path, dict(self.headers)))
            content = json.dumps(body if found else {"message": "Forbidden"}).encode()
            self.send_response(200 if found else 403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        # The handshake is the connection's own thread's, not the one's that accepts.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    with _serving(server):
        yield server.server_address[1], seen


@contextmanager
def proxy(target: int, *, answer: int = 200, authorization: str | None = None) -> Iterator[int]:
    """Serve CONNECT; whatever name is asked for, the connection goes to a port of this host."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            wanted = f"Proxy-Authorization: {authorization}".lower().encode()
            status = 407 if authorization and wanted not in head.lower() else answer
            self.wfile.write(f"HTTP/1.1 {status} Said\r\n\r\n".encode())
            if status == 200:
                with socket.create_connection(("127.0.0.1", target)) as there:
                    _pipe(self.connection, there)

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    # A connection that is gone before it is taken must not hold up the end of the server.
    server.socket.settimeout(1)
    server.daemon_threads = True
    with _serving(server):
        yield server.server_address[1]


def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(server: BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _pipe(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join(timeout=10)
