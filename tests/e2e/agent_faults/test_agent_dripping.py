"""Answers that drip, from real sockets: they may not take the agent's connections from it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from rollcall_agent.answers import NoAnswerError
from rollcall_agent.client import Call, ControlPlane
from rollcall_agent.proxies import LIMITS
from rollcall_agent.stopping import StoppableCaller, Stopper

GOOD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"Connection: close\r\n\r\n{}"
)


class Tarpit:
    """Answers the first requests one byte of a header at a time, and the later ones at once."""

    def __init__(self, dripping: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.dripping = dripping
        self.is_over = threading.Event()
        self.let_go = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.is_over.set()
        self.listener.close()

    def _accept(self) -> None:
        number = 0
        while not self.is_over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            serve = self._drip if number < self.dripping else self._answer
            number += 1
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(GOOD)

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.send(b"HTTP/1.1 200 OK\r\nX: ")
                while not self.is_over.wait(0.02):
                    connection.send(b"a")
            except OSError:
                self.let_go += 1


@pytest.fixture
def tarpit() -> Iterator[Tarpit]:
    found = Tarpit(dripping=LIMITS.max_connections or 0)
    yield found
    found.close()


def test_answers_that_drip_do_not_use_the_connections_up(tarpit: Tarpit) -> None:
    stopper = Stopper()
    plane = ControlPlane(tarpit.url, clock=stopper)
    caller = StoppableCaller(plane, stopper, plane.renew, patience=0.2)
    for _ in range(tarpit.dripping):
        with pytest.raises(NoAnswerError):
            caller.call(Call("GET", "/healthz"))
    patient = StoppableCaller(plane, stopper, plane.renew, patience=10.0)
    assert patient.call(Call("GET", "/healthz")).status == 200
    for _ in range(500):
        if tarpit.let_go == tarpit.dripping:
            break
        tarpit.is_over.wait(0.01)
    # The other side sees that nobody listens any more.
    assert tarpit.let_go == tarpit.dripping
    plane.close()
