"""A loopback HTTP/1.1 server, one thread per connection, with a stop that is complete."""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable

from infra.emulator.wire import Head, Wire, WireError, render_response

Answer = tuple[int, list[tuple[str, str]], bytes]
Handler = Callable[[Wire, Head, str], Answer]

_IDLE_SECONDS = 60.0
_log = logging.getLogger("rollcall.emulator")


class HttpServer:
    """Accepts connections on a free loopback port and lets a handler answer the requests.

    Args:
        name: For the threads.
        handler: Gets the connection (to read the body from), the head and the peer's address.
    """

    def __init__(self, name: str, handler: Handler) -> None:
        self._name = name
        self._handler = handler
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._wires: set[Wire] = set()
        self._guard = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopped = True
        # macOS refuses that for a listening socket; close is enough there.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            wires = list(self._wires)
        for wire in wires:
            wire.close()
        if self._thread.is_alive():
            self._thread.join(2)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                sock, (peer, *_) = self._listener.accept()
            except OSError:
                if self._stopped:
                    return
                continue
            sock.settimeout(_IDLE_SECONDS)
            wire = Wire(sock)
            with self._guard:
                self._wires.add(wire)
            thread = threading.Thread(
                target=self._serve, args=(wire, peer), name=f"{self._name}-{peer}", daemon=True
            )
            thread.start()

    def _serve(self, wire: Wire, peer: str) -> None:
        try:
            while not self._stopped and self._one(wire, peer):
                pass
        except WireError as error:
            self._last_word(wire, error.status, error.message)
        except OSError:
            pass  # the client went away, or stop() closed the connection
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happened
            if not self._stopped:
                _log.exception("%s failed on a request", self._name)
            self._last_word(wire, 500, "Internal server error")
        finally:
            with self._guard:
                self._wires.discard(wire)
            wire.close()

    def _one(self, wire: Wire, peer: str) -> bool:
        head = wire.read_head()
        if head is None:
            return False
        status, headers, body = self._handler(wire, head, peer)
        keep_alive = head.keep_alive
        bodiless = head.method == "HEAD"
        wire.write(render_response(status, headers, body, keep_alive=keep_alive, head=bodiless))
        return keep_alive

    @staticmethod
    def _last_word(wire: Wire, status: int, message: str) -> None:
        headers = [("Content-Type", "application/json")]
        body = json.dumps({"message": message}).encode()
        with contextlib.suppress(OSError):  # nobody may be there to read it
            wire.write(render_response(status, headers, body, keep_alive=False))
