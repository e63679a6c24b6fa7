"""Moto's services over HTTP, one request at a time."""

import io
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote_to_bytes

from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.emulator.http_server import Answer, HttpServer
from infra.emulator.patches import MotoObject
from infra.emulator.wire import Head, Wire

_MAX_BODY = 512 * 1024 * 1024
Interceptor = Callable[[Head, str, str, bytes], Answer | None]


class MotoServer:
    """Moto behind a lock.

    Moto's transactions copy whole tables and its conditional updates are no atomic operations:
    without the lock, concurrent requests oversell and lose acknowledged writes.

    Args:
        lock: Held while moto works; whoever holds it must not wait for a function.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = lock
        # They answer outside of the lock; None passes a request on to moto.
        self.interceptors: list[Interceptor] = []
        self._server = HttpServer("moto", self._handle)

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

    def _handle(self, wire: Wire, head: Head, peer: str) -> Answer:
        body = wire.read_body(head, _MAX_BODY)
        path, _, query = head.target.partition("?")
        for interceptor in self.interceptors:
            answer = interceptor(head, path, query, body)
            if answer is not None:
                return answer
        return self.answer(head, body, peer)

    def answer(self, head: Head, body: bytes, peer: str) -> Answer:
        """Moto's answer to a request."""
        environ = _environ(head, body, peer, self._server.port)
        with self._lock:
            return _run(self._app, environ)


def _run(app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Answer:
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _: MotoObject = None
    ) -> MotoObject:
        started.append((int(status.split(" ", 1)[0]), headers))
        return lambda _data: None

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    status, headers = started[-1]
    if environ["REQUEST_METHOD"] == "HEAD":
        # The length of an object that is not sent; the server would write 0 instead.
        return status, headers, b""
    headers = [one for one in headers if one[0].lower() not in {"content-length", "connection"}]
    return status, headers, body


def _environ(head: Head, body: bytes, peer: str, port: int) -> dict[str, Any]:
    path, _, query = head.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": head.target,
        "RAW_URI": head.target,
        "REMOTE_ADDR": peer,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": head.version,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    _add_headers(environ, head)
    return environ


def _add_headers(environ: dict[str, Any], head: Head) -> None:
    dashed = {environ_key_for_header(name) for name, _ in head.headers if "_" not in name}
    preserved: dict[str, str] = {}
    for name, value in head.headers:
        key = environ_key_for_header(name)
        if key in {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}:
            continue  # the body is here already, whole
        if "_" in name:
            # As moto's own server: such a header must not pass for the dashed one.
            if key in dashed or not should_preserve_original_header_name(name):
                continue
            preserved.setdefault(key, name)
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved


def new_lock() -> AbstractContextManager[Any]:
    """The lock for moto; re-entrant, because moto's services call each other."""
    return threading.RLock()
