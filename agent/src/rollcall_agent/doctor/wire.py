"""The doctor's own connections: plain sockets, so that each step can be told from the next.

The agent's HTTP library does all steps at once and reports their failures in one word.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from rollcall_agent import __version__
from rollcall_agent.clock import Clock
from rollcall_agent.doctor.peer import Certificate, UntrustedError, of_peer, untrusted
from rollcall_agent.doctor.servers import Proxy, Server

SECONDS: Final = 10.0
_LONGEST_HEAD: Final = 16 * 1024
_LONGEST_BODY: Final = 64 * 1024
_CONNECTED: Final = 200


class UnreachableError(Exception):
    """No connection, or one that broke."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProxyRefusedError(Exception):
    """The proxy answered, and did not connect."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class NotTlsError(Exception):
    """Something answered, and TLS did not come about."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Fetched:
    """An answer to a GET.

    Attributes:
        headers: By lower-case name.
        at: The local clock in the middle of the exchange.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0


class Network(Protocol):
    """What the doctor asks of the network."""

    def resolve(self, host: str, port: int) -> list[str]:
        """Look a name up; raises socket.gaierror."""

    def connect(self, server: Server, proxy: Proxy | None) -> None:
        """Open a connection, through the proxy if there is one, and close it."""

    def handshake(self, server: Server, proxy: Proxy | None) -> Certificate:
        """Verify the server's certificate."""

    def fetch(self, server: Server, proxy: Proxy | None, path: str) -> Fetched:
        """Get a path below the base URL. No credential is sent."""


@dataclass(frozen=True)
class Wire:
    """The network for real.

    Attributes:
        trust: Makes the context that decides whose certificates are believed.
    """

    trust: Callable[[], ssl.SSLContext] = field(repr=False)
    clock: Clock
    seconds: float = SECONDS

    def resolve(self, host: str, port: int) -> list[str]:
        """Look a name up."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return sorted({str(entry[4][0]) for entry in found})

    def connect(self, server: Server, proxy: Proxy | None) -> None:
        """Open a connection and close it."""
        self._open(server, proxy).close()

    def handshake(self, server: Server, proxy: Proxy | None) -> Certificate:
        """Verify the server's certificate; what is not believed is looked at, and told."""
        with self._open(server, proxy) as raw:
            try:
                with self._secured(raw, server) as secured:
                    return of_peer(secured.getpeercert() or {})
            except ssl.SSLCertVerificationError as error:
                refused = error
        raise untrusted(refused, self._shown_certificate(server, proxy))

    def fetch(self, server: Server, proxy: Proxy | None, path: str) -> Fetched:
        """Get a path below the base URL."""
        with self._open(server, proxy) as raw:
            try:
                secured = self._secured(raw, server) if server.tls else raw
                with secured:
                    return self._get(secured, server, proxy, path)
            except ssl.SSLCertVerificationError as error:
                raise untrusted(error, None) from error
            except (OSError, http.client.HTTPException) as error:
                raise UnreachableError(_reason(error)) from error

    def _open(self, server: Server, proxy: Proxy | None) -> socket.socket:
        address = (proxy.host, proxy.port) if proxy else (server.host, server.port)
        try:
            raw = socket.create_connection(address, timeout=self.seconds)
            try:
                if proxy and server.tls:
                    _tunnel(raw, server, proxy)
            except BaseException:
                raw.close()
                raise
        except OSError as error:
            raise UnreachableError(_reason(error)) from error
        return raw

    def _secured(self, raw: socket.socket, server: Server) -> ssl.SSLSocket:
        try:
            return self.trust().wrap_socket(raw, server_hostname=server.host)
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            raise NotTlsError(error.reason or "the handshake failed") from error
        except OSError as error:
            raise UnreachableError(_reason(error)) from error

    def _shown_certificate(self, server: Server, proxy: Proxy | None) -> bytes | None:
        """Return the certificate that was not believed, to say whose it is.

        This connection is closed at once. Nothing is sent over it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                self._open(server, proxy) as raw,
                context.wrap_socket(raw, server_hostname=server.host) as unverified,
            ):
                return unverified.getpeercert(binary_form=True)
        except (OSError, UnreachableError, ProxyRefusedError):
            return None

    def _get(
        self, connected: socket.socket, server: Server, proxy: Proxy | None, path: str
    ) -> Fetched:
        target = urlsplit(server.url).path.rstrip("/") + path
        headers = {
            "Host": server.address,
            "User-Agent": f"rollcall-agent/{__version__}",
            "Accept": "application/json",
            "Connection": "close",
        }
        if proxy and not server.tls:
            target = f"http://{server.address}{target}"
            if proxy.authorization:
                headers["Proxy-Authorization"] = proxy.authorization
        connection = http.client.HTTPConnection(server.host, server.port, timeout=self.seconds)
        connection.sock = connected
        before = self.clock.now()
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        at = (before + self.clock.now()) / 2
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Fetched(answer.status, found, answer.read(_LONGEST_BODY), at)


def _tunnel(raw: socket.socket, server: Server, proxy: Proxy) -> None:
    lines = [f"CONNECT {server.address} HTTP/1.1", f"Host: {server.address}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    # Byte by byte: what follows the head belongs to the server already.
    while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD:
        byte = raw.recv(1)
        if not byte:
            break
        head += byte
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if status != _CONNECTED:
        raise ProxyRefusedError(status)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name cannot be looked up"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the connection broke"


__all__ = [
    "Fetched",
    "Network",
    "NotTlsError",
    "ProxyRefusedError",
    "UnreachableError",
    "UntrustedError",
    "Wire",
]
