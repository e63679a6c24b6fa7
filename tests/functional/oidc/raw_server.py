"""A TLS server that answers whatever bytes a test wants, as fast or slow as it wants."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.functional.oidc.certificates import Certificate

Serve = Callable[[ssl.SSLSocket, "RawServer"], None]


@dataclass
class RawServer:
    """A running server and what it was asked."""

    port: int
    stopping: threading.Event = field(default_factory=threading.Event)
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    connections: int = 0


def answering(head: str, body: bytes = b"") -> Serve:
    """Answer every request with the same bytes."""

    def serve(connection: ssl.SSLSocket, server: RawServer) -> None:
        del server
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return serve


def dripping(*pieces: bytes, endless: bytes = b"") -> Serve:
    """Send some pieces, and then one again and again, three times a second."""

    def serve(connection: ssl.SSLSocket, server: RawServer) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while not server.stopping.wait(0.3):
            connection.sendall(endless)

    return serve


@contextlib.contextmanager
def running(
    certificate: Certificate | None, serve: Serve, host: str = "127.0.0.1"
) -> Iterator[RawServer]:
    """Serve on a free port until the block ends; without a certificate it never says a word."""
    with socket.create_server((host, 0), family=_family(host)) as listener:
        server = RawServer(listener.getsockname()[1])
        acceptor = threading.Thread(
            target=_accept, args=(listener, server, certificate, serve), daemon=True
        )
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _accept(
    listener: socket.socket, server: RawServer, certificate: Certificate | None, serve: Serve
) -> None:
    while not server.stopping.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        server.connections += 1
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            _answer(connection, server, certificate, serve)


def _answer(
    connection: socket.socket, server: RawServer, certificate: Certificate | None, serve: Serve
) -> None:
    if certificate is None:
        server.stopping.wait(30)
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    context.sni_callback = lambda _, name, __: server.names.append(name)
    with context.wrap_socket(connection, server_side=True) as secured:
        server.requests.append(_request(secured))
        serve(secured, server)


def _request(connection: ssl.SSLSocket) -> bytes:
    """The whole request: what is left unread would reset the connection."""
    with connection.makefile("rb") as stream:
        lines = list(iter(stream.readline, b"\r\n"))
        length = [int(line.split(b":")[1]) for line in lines if line.startswith(b"Content-Length")]
        return b"".join([*lines, b"\r\n", stream.read(sum(length))])
