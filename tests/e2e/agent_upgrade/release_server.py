"""A control plane that has published releases, and the object store that it redirects to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.agent.releases import Signer


@dataclass
class ReleaseServer:
    """What is published, and what was asked for."""

    signer: Signer = field(default_factory=Signer)
    binaries: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)
    # Where /agent/binary sends its callers; None for the store of this server.
    location: str | None = None
    url: str = ""

    def publish(self, version: str, binary: bytes, platform: tuple[str, str]) -> None:
        """Publish a version for one platform."""
        self.binaries[version] = binary
        self.manifests[version] = self.signer.manifest(version, binary, platform)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Answer one request."""
        parts = urlsplit(path)
        self.asked.append(parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        version = query.get("version", max(self.manifests, default=""))
        if parts.path == "/dev/agent/manifest" and version in self.manifests:
            return 200, {"Content-Type": "text/plain"}, self.manifests[version]
        if parts.path == "/dev/agent/binary" and version in self.binaries:
            return 302, {"Location": self.location or f"/store/{version}"}, b""
        if parts.path.startswith("/store/"):
            return 200, {}, self.binaries[parts.path.removeprefix("/store/")]
        problem = {"code": "agent_not_published", "detail": "This version is not published."}
        return 404, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode()


@contextmanager
def serving(releases: ReleaseServer) -> Iterator[ReleaseServer]:
    """Serve the releases on a free port of this host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            releases.credentials += self.headers.get_all("Authorization", [])
            status, headers, content = releases.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A connection that is gone before it is taken must not hold up the end of the server.
    server.socket.settimeout(1)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    releases.url = f"http://127.0.0.1:{server.server_address[1]}/dev"
    try:
        yield releases
    finally:
        server.shutdown()
        server.server_close()
