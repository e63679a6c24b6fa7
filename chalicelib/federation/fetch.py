"""One bounded https request to an address that somebody else chose.

The name is resolved once, every address it has must be public, and the connection goes to that
very address, with the name for SNI, certificate and Host. No redirect is followed, no proxy or
certificate bundle is taken from the environment, and a deadline holds over the whole exchange.
"""

import contextlib
import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from chalicelib.federation import addresses
from chalicelib.federation.failures import ProviderError

LARGEST_ANSWER = 256 * 1024
CONNECT_SECONDS = 3.0
EXCHANGE_SECONDS = 5.0
HTTPS = 443
_FIRST_UNPRIVILEGED = 1024
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_AGENT = "rollcall"
Resolve = Callable[[str, int], list[str]]


class Place(msgspec.Struct, frozen=True):
    """A checked https address, taken apart."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS else f"{host}:{self.port}"


class Fetched(msgspec.Struct, frozen=True):
    """A complete answer."""

    status: int
    body: bytes


def place(url: str, *, port: int | None = None) -> Place:
    """Take an address apart.

    Args:
        url: the address.
        port: a port besides 443 that is allowed; None allows any unprivileged one.

    Raises:
        ProviderError: not https, with a name and password, a fragment, odd characters or a port
            that is not allowed.
    """
    if not url.isascii() or not url.isprintable() or any(sign in url for sign in ' \\"<>'):
        raise ProviderError("address_invalid", "characters that no address has")
    try:
        parts = urlsplit(url)
        named = parts.port or HTTPS
    except ValueError as error:
        raise ProviderError("address_invalid", "it cannot be taken apart") from error
    host = parts.hostname or ""
    in_brackets = f"[{host}]" if ":" in host else host
    if parts.scheme != "https" or "@" in parts.netloc or parts.fragment or "#" in url:
        raise ProviderError("address_invalid", "https, and no user or fragment, is accepted")
    if not _HOST.fullmatch(in_brackets):
        raise ProviderError("address_invalid", "the name of the host")
    if named != HTTPS and (named != port if port is not None else named < _FIRST_UNPRIVILEGED):
        raise ProviderError("address_invalid", f"port {named}")
    query = f"?{parts.query}" if parts.query else ""
    return Place(host, named, (parts.path or "/") + query)


def resolved(host: str, port: int) -> list[str]:
    """What a name resolves to now, each address once.

    Raises:
        ProviderError: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise ProviderError("name_not_found", type(error).__name__) from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Fetcher:
    """Fetches from places.

    Args:
        loopback_ca: a bundle of certificates for providers on the loopback, which is then the only
            address that is admitted. `settings.load()` refuses it for every stage that can be
            deployed.
        resolve: turns a name and a port into addresses.
        connect_seconds: for name and connection together.
        exchange_seconds: for everything.
    """

    def __init__(
        self,
        loopback_ca: str | None = None,
        *,
        resolve: Resolve = resolved,
        connect_seconds: float = CONNECT_SECONDS,
        exchange_seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        self._loopback_ca = loopback_ca
        self._resolve = resolve
        self._connect_seconds = connect_seconds
        self._exchange_seconds = exchange_seconds
        self._trusted: ssl.SSLContext | None = None

    def get(self, where: Place) -> Fetched:
        """One GET that wants JSON.

        Raises:
            ProviderError: the answer could not be had within the bounds.
        """
        return self._exchange(where, "GET", None, {})

    def post(self, where: Place, form: str, headers: dict[str, str]) -> Fetched:
        """One POST of a form.

        Raises:
            ProviderError: the answer could not be had within the bounds.
        """
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._exchange(where, "POST", form.encode(), {**content, **headers})

    def _exchange(
        self, where: Place, method: str, body: bytes | None, headers: dict[str, str]
    ) -> Fetched:
        deadline = time.monotonic() + self._exchange_seconds
        with (
            contextlib.closing(self._connected(where)) as connected,
            _ended_at(connected, deadline) as overdue,
        ):
            try:
                answer = self._answer(connected, where, method, body, headers)
                if overdue():  # what was cut off can look whole
                    raise TimeoutError
            except (OSError, http.client.HTTPException, ValueError) as error:
                # The watchman ends a connection by shutting it down: that looks like any
                # other end, and is told from it here.
                reason = "time_out" if overdue() else "exchange_failed"
                raise ProviderError(reason, _kind(error)) from error
            return answer

    def _answer(
        self,
        connected: socket.socket,
        where: Place,
        method: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> Fetched:
        connection = http.client.HTTPSConnection(where.host, where.port)
        with contextlib.closing(
            self._context.wrap_socket(connected, server_hostname=where.host)
        ) as secured:
            connection.sock = secured
            said = {"Host": where.authority, "Accept": "application/json"}
            said |= {"User-Agent": _AGENT, "Connection": "close", **headers}
            connection.request(method, where.target, body, said)
            with contextlib.closing(connection.getresponse()) as answer:
                return _read(answer)

    def _connected(self, where: Place) -> socket.socket:
        deadline = time.monotonic() + self._connect_seconds
        found = _bounded(lambda: self._resolve(where.host, where.port), self._connect_seconds)
        problem: OSError | None = None
        for address in addresses.admit(found, loopback=self._loopback_ca is not None):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                made = socket.create_connection((address, where.port), timeout=left)
            except OSError as error:
                problem = error
                continue
            made.settimeout(self._exchange_seconds)
            return made
        raise ProviderError("unreachable", _kind(problem) if problem else "time-out") from problem

    @property
    def _context(self) -> ssl.SSLContext:
        if self._trusted is None:
            # Not the system's bundle, nor one that a variable names: what the AWS clients trust.
            from botocore.httpsession import where as bundle  # noqa: PLC0415

            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            made.load_verify_locations(self._loopback_ca or bundle())
            self._trusted = made
        return self._trusted


def _read(answer: http.client.HTTPResponse) -> Fetched:
    if 300 <= answer.status < 400:  # noqa: PLR2004
        raise ProviderError("redirected", f"status {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise ProviderError("compressed", "an encoding that was not asked for")
    body = answer.read(LARGEST_ANSWER + 1)
    if len(body) > LARGEST_ANSWER:
        raise ProviderError("too_large", f"over {LARGEST_ANSWER} bytes")
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != len(body):
        raise ProviderError("exchange_failed", "the answer is not complete")
    return Fetched(answer.status, body)


@contextlib.contextmanager
def _ended_at(connected: socket.socket, deadline: float) -> Iterator[Callable[[], bool]]:
    """Shut a connection down at a moment, whatever it is doing then.

    A time-out of the socket holds for one read, and starts anew with every byte that drips in.
    """
    # TLS takes the descriptor over; a copy still names the connection.
    handle = connected.dup()
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    watchman = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    watchman.daemon = True
    watchman.start()
    try:
        yield late.is_set
    finally:
        watchman.cancel()
        watchman.join()
        handle.close()


def _bounded(work: Callable[[], list[str]], seconds: float) -> list[str]:
    """The result of work that has no time-out of its own: the system's resolver."""
    results: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            results.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        raise ProviderError("time_out", "the name was not resolved in time") from None
    if isinstance(result, Exception):
        raise result
    return result


def _kind(error: Exception) -> str:
    reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or ""
    return f"{type(error).__name__} {reason}".strip()
