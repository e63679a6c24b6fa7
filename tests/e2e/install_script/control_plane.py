"""A control plane that serves the installer, a signed manifest and a binary, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SCRIPT = Path("chalicelib/install/install.sh")
VERSION = "1.2.3"
CHECK = "/api/v1/agent-enrollment/check"


class ReleaseKey:
    """A key that signs manifests, made for one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public = self._key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def fingerprint(self) -> str:
        """What pins it."""
        return hashlib.sha256(self.public).hexdigest()

    def signed(self, lines: list[str]) -> bytes:
        """A manifest with its key and signature."""
        key = f"key {base64.b64encode(self.public).decode()}"
        content = "".join(f"{line}\n" for line in [*lines, key]).encode()
        signature = base64.b64encode(self._key.sign(content, ec.ECDSA(hashes.SHA256())))
        return content + b"signature " + signature + b"\n"


@dataclass
class ControlPlane:
    """What is published, and what was asked for.

    Attributes:
        served: what `/agent/binary` gives, which a test may make differ from what is published.
        manifest: what `/agent/manifest` gives.
        elsewhere: where the binary lies, instead of here.
        asked: the targets of the requests, as they were written.
        checked: the dry runs of the exchange: credential and body of each.
        check: how a dry run is answered: status and body.
    """

    binary: bytes
    key: ReleaseKey = field(default_factory=ReleaseKey)
    platforms: tuple[str, ...] = ("linux x86_64", "linux arm64", "darwin x86_64", "darwin arm64")
    url: str = ""
    served: bytes = b""
    manifest: bytes | None = None
    elsewhere: str = ""
    asked: list[str] = field(default_factory=list)
    checked: list[tuple[str, bytes]] = field(default_factory=list)
    check: tuple[int, bytes] = (200, b'{"admits": true}')

    def __post_init__(self) -> None:
        self.served = self.binary
        self.publish()

    def publish(self, version: str = VERSION) -> None:
        """Sign a manifest of the binary."""
        found = f"{len(self.binary)} {hashlib.sha256(self.binary).hexdigest()}"
        files = [f"file {platform} {found}" for platform in self.platforms]
        self.manifest = self.key.signed(["rollcall-agent-manifest 1", f"version {version}", *files])

    def script(self) -> str:
        """The installer as the control plane fills it in."""
        text = SCRIPT.read_text()
        text = text.replace("@ROLLCALL_URL@", self.url)
        return text.replace("@ROLLCALL_RELEASE_KEY_SHA256@", self.key.fingerprint)

    def refuse(self, status: int, code: str, detail: str = "Refused.") -> None:
        """Answer dry runs with a refusal of the control plane's own."""
        self.check = (
            status,
            json.dumps({"status": status, "code": code, "detail": detail}).encode(),
        )

    def downloads(self) -> list[str]:
        """What was asked for besides dry runs."""
        return [target for target in self.asked if not target.endswith(CHECK)]

    def answer_check(self, target: str, credential: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for one POST."""
        self.asked.append(target)
        if not urlsplit(target).path.endswith(CHECK):
            return 404, b"{}"
        self.checked.append((credential, body))
        return self.check

    def answer(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for one GET."""
        self.asked.append(target)
        path = urlsplit(target).path.removeprefix("/dev")
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if path == "/install/install.sh":
            return 200, {}, self.script().encode()
        if path == "/agent/manifest" and self.manifest is not None:
            return 200, {}, self.manifest
        if path == "/agent/binary" and set(query) == {"os", "arch", "version"}:
            return (
                302,
                {"Location": f"{self.elsewhere or self.url.removesuffix('/dev')}/bucket?signed=1"},
                b"",
            )
        if path.endswith("/bucket"):
            return 200, {}, self.served
        body = {"status": 404, "code": "agent_not_published", "title": "Not published"}
        return 404, {"Content-Type": "application/problem+json"}, json.dumps(body).encode()


@contextmanager
def serve(plane: ControlPlane, tls: ssl.SSLContext | None = None) -> Iterator[ControlPlane]:
    """Serve it on a free port for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*plane.answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            credential = self.headers.get("Authorization", "")
            status, answer = plane.answer_check(self.path, credential, body)
            self._send(status, {"Content-Type": "application/json"}, answer)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that was killed, or that refuses the certificate

    server = Server(("127.0.0.1", 0), Handler)
    # A connection that is gone before it is taken must not hold up the end of the server.
    server.socket.settimeout(1)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    plane.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/dev"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield plane
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
