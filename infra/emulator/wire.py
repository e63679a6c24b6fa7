"""HTTP/1.1 on a socket, as little as the gateway and the Runtime API need.

The standard library's server spends more time in its header parser than a warm function needs
for its answer, and it writes headers and body in two packets. This reads into one buffer and
writes every answer at once.
"""

import contextlib
import re
import socket
from dataclasses import dataclass, field

MAX_HEAD = 64 * 1024
_REQUEST_LINE = re.compile(r"([A-Za-z]+) ([^ ]+) (HTTP/1\.[01])")
_LENGTH_DIGITS = 15
_CHUNK = 256 * 1024
# How much of a refused body is read so that the client sees the answer instead of a reset.
_DRAIN_LIMIT = 64 * 1024 * 1024


class WireError(Exception):
    """The peer sent something that is not acceptable HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BodyTooLargeError(WireError):
    """The body is over the limit; it has been read and thrown away."""

    def __init__(self) -> None:
        super().__init__(413, "Request Too Long")


@dataclass(slots=True)
class Head:
    """Request line and headers."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0

    def get(self, name: str) -> str | None:
        """The last value of a header, by lower-case name."""
        found = None
        for key, value in self.headers:
            if key.lower() == name:
                found = value
        return found

    @property
    def keep_alive(self) -> bool:
        """Whether the peer wants to send another request."""
        connection = (self.get("connection") or "").lower()
        if self.version == "HTTP/1.0":
            return connection == "keep-alive"
        return connection != "close"


class Wire:
    """One connection: a socket and what was read from it in advance."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._buffer = bytearray()

    def fileno(self) -> int:
        """The descriptor, so that a wire can be polled."""
        return self.sock.fileno()

    @property
    def has_data(self) -> bool:
        """Whether bytes wait in the buffer, which a poll would not see."""
        return bool(self._buffer)

    def read_head(self) -> Head | None:
        """Read a request's head; None when the peer closed between requests."""
        end = self._buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise WireError(431, "Request Header Fields Too Large")
            if not self._fill():
                if self._buffer:
                    raise WireError(400, "Bad Request")
                return None
            end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD:
            raise WireError(431, "Request Header Fields Too Large")
        raw = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return parse_head(raw)

    def read_body(self, head: Head, limit: int) -> bytes:
        """Read the body that belongs to the head.

        Raises:
            BodyTooLargeError: It is over the limit.
        """
        chunked = "chunked" in (head.get("transfer-encoding") or "").lower()
        length_text = head.get("content-length")
        if chunked and length_text is not None:
            raise WireError(400, "Bad Request")
        if (head.get("expect") or "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if chunked:
            return self._read_chunked(limit)
        if length_text is None:
            return b""
        if (
            not (length_text.isascii() and length_text.isdigit())
            or len(length_text) > _LENGTH_DIGITS
        ):
            raise WireError(400, "Bad Request")
        length = int(length_text)
        if length > limit:
            self._drain(length)
            raise BodyTooLargeError
        return self._exactly(length)

    def write(self, data: bytes) -> None:
        """Send one whole message."""
        self.sock.sendall(data)

    def close(self) -> None:
        """Close in a way that also wakes a thread that reads."""
        with contextlib.suppress(OSError):  # the peer may have been first
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _fill(self) -> bool:
        data = self.sock.recv(_CHUNK)
        self._buffer += data
        return bool(data)

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self._fill():
                raise WireError(400, "Bad Request")
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _drain(self, length: int) -> None:
        left = min(length, _DRAIN_LIMIT) - len(self._buffer)
        self._buffer.clear()
        while left > 0:
            data = self.sock.recv(_CHUNK)
            if not data:
                return
            left -= len(data)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD or not self._fill():
                raise WireError(400, "Bad Request")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_chunked(self, limit: int) -> bytes:
        parts = []
        total = 0
        while True:
            size_text = self._line().split(b";", 1)[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise WireError(400, "Bad Request") from None
            if size < 0 or size > _DRAIN_LIMIT:
                raise WireError(400, "Bad Request")
            if size == 0:
                break
            total += size
            part = self._exactly(size)
            if total <= limit:
                parts.append(part)
            if total > _DRAIN_LIMIT:
                raise WireError(413, "Request Too Long")
            self._line()
        while self._line():
            pass  # trailers
        if total > limit:
            raise BodyTooLargeError
        return b"".join(parts)


def parse_head(raw: bytes) -> Head:
    """Parse a request line and headers.

    Raises:
        WireError: It is not HTTP.
    """
    lines = raw.decode("latin-1").split("\r\n")
    found = _REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        raise WireError(400, "Bad Request")
    head = Head(found[1], found[2], found[3], size=len(raw))
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\0" in line:
            raise WireError(400, "Bad Request")
        head.headers.append((name, value.strip(" \t")))
    return head


def render_response(
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    *,
    keep_alive: bool,
    head: bool = False,
) -> bytes:
    """One HTTP response as bytes; header values can not break out of their line."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{_clean(name)}: {_clean(value)}" for name, value in headers]
    # An answer to HEAD may name the length of what it does not carry.
    if status not in _NO_LENGTH and not (head and _names_length(headers)):
        lines.append(f"Content-Length: {len(body)}")
    if not keep_alive:
        lines.append("Connection: close")
    rendered = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    return rendered if head or status in _NO_LENGTH else rendered + body


def _names_length(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-length" for name, _ in headers)


def _clean(text: str) -> str:
    if "\r" in text or "\n" in text:
        return text.replace("\r", " ").replace("\n", " ")
    return text


_NO_LENGTH = {204, 304}
_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    303: "See Other",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
