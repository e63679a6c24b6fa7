"""A private CA for everything that the agent fetches."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rollcall_agent.answers import NoAnswerError
from rollcall_agent.client import Call
from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.parts import connect
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.settings import Settings
from rollcall_agent.tls import trusting


class Healthy(BaseHTTPRequestHandler):
    """Says that it is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        pass


def certify(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that only a host that knows it believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own, private = folder / "ca.pem", folder / "key.pem"
    own.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return own, private


@contextmanager
def https(certificate: Path, key: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    # A connection that is gone before it is taken must not hold up the end of the server.
    server.socket.settimeout(1)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    path = tmp_path / "agent.env"
    path.write_text(text)
    return Settings.load(path, environment)


def test_a_private_ca_is_believed_where_it_is_named_and_nowhere_else(tmp_path: Path) -> None:
    own, key = certify(tmp_path)
    named = settings(tmp_path, f"ROLLCALL_CA_BUNDLE={own}\n")
    in_environment = settings(tmp_path, ROLLCALL_CA_BUNDLE=str(own))
    with https(own, key) as url:
        for known in (named, in_environment):
            plane = connect(known, url, SystemClock())
            assert plane.call(Call("GET", "/healthz")).status == 200
            plane.close()
        stranger = connect(settings(tmp_path), url, SystemClock())
        with pytest.raises(NoAnswerError) as refused:
            stranger.call(Call("GET", "/healthz"))
        stranger.close()
    assert not refused.value.arrived


def test_the_public_cas_are_believed_besides(tmp_path: Path) -> None:
    own, _ = certify(tmp_path)
    context = trusting(own)
    assert context is not None
    assert context.cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, ExitCode.UNREADY),
        (b"", ExitCode.USAGE),
        (b"no certificate", ExitCode.USAGE),
    ],
)
def test_a_bundle_that_cannot_be_used_ends_the_start(
    tmp_path: Path, content: bytes | None, code: ExitCode
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(AgentError, match="ROLLCALL_CA_BUNDLE") as refused:
        connect(
            settings(tmp_path, ROLLCALL_CA_BUNDLE=str(bundle)), "https://x.example", SystemClock()
        )
    assert refused.value.exit_code is code
