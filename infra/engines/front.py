"""A pass-through before an engine, in the emulator's own process.

It lets tests watch, refuse, delay or cut any request, as moto's server does, and tells what was
stored, since an engine of its own notifies nobody. `Host` stays as the caller wrote it: a
presigned address is signed with it.
"""

from __future__ import annotations

import http.client
import select
import threading
import urllib.parse
from collections.abc import Callable

from infra.emulator.http_server import Answer, HttpServer
from infra.emulator.moto_server import Interceptor
from infra.emulator.wire import Head, Wire

Observer = Callable[[Head, bytes, Answer], None]
_MAX_BODY = 512 * 1024 * 1024
# They belong to one connection; the body has been read, and is sent with its length.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class Front:
    """A loopback port that passes requests on to an engine.

    Args:
        name: for the threads.
        engine: the engine's URL.
    """

    def __init__(self, name: str, engine: str) -> None:
        self._address = urllib.parse.urlsplit(engine)
        self._server = HttpServer(name, self._handle)
        self._upstream = threading.local()
        self.interceptors: list[Interceptor] = []
        self.observers: list[Observer] = []

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return self._server.url

    def start(self) -> None:
        """Begin to accept."""
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.stop()

    def forward(self, head: Head, body: bytes) -> Answer:
        """The engine's answer.

        Raises:
            OSError: it did not answer; the caller of the front sees its connection end.
        """
        connection = self._connection()
        try:
            connection.putrequest(
                head.method, head.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in head.headers:
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionError("the engine did not answer") from error
        dropped = _HOP_BY_HOP - ({"content-length"} if head.method == "HEAD" else set())
        headers = [one for one in response.getheaders() if one[0].lower() not in dropped]
        return response.status, headers, content

    def _handle(self, wire: Wire, head: Head, peer: str) -> Answer:
        del peer
        body = wire.read_body(head, _MAX_BODY)
        path, _, query = head.target.partition("?")
        for interceptor in list(self.interceptors):
            answer = interceptor(head, path, query, body)
            if answer is not None:
                return answer
        answer = self.forward(head, body)
        for observer in list(self.observers):
            observer(head, body, answer)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection to the engine: each caller's connection has a thread."""
        kept: http.client.HTTPConnection | None = getattr(self._upstream, "connection", None)
        if kept is None:
            kept = http.client.HTTPConnection(
                self._address.hostname or "", self._address.port, timeout=60
            )
            self._upstream.connection = kept
        if kept.sock is not None and select.select([kept.sock], [], [], 0)[0]:
            kept.close()  # the engine has closed it; nothing else could be readable now
        return kept
