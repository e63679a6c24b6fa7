import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra import smoke
from infra.errors import DeployError

pytestmark = pytest.mark.enable_socket


class Stage(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/prod"


class Handler(BaseHTTPRequestHandler):
    server: Stage

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stage() -> Iterator[Stage]:
    server = Stage()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_healthy_stage_is_asked_once(stage: Stage) -> None:
    stage.answers = [(200, b'{"status": "ok"}')]
    smoke.healthy(stage.url)
    assert stage.asked == ["/prod/healthz"]


def test_a_stage_that_is_not_known_yet_is_waited_for(stage: Stage) -> None:
    stage.answers = [(403, b"{}"), (503, b"{}"), (200, b'{"status": "ok"}')]
    smoke.healthy(stage.url, pause_seconds=0)


@pytest.mark.parametrize("answer", [(503, b'{"code": "unavailable"}'), (200, b"{}"), (200, b"<a>")])
def test_a_stage_that_stays_unwell_fails_with_its_last_answer(
    stage: Stage, answer: tuple[int, bytes]
) -> None:
    stage.answers = [answer] * 3
    with pytest.raises(DeployError, match=r"healthz does not answer well: .+"):
        smoke.healthy(stage.url, attempts=3, pause_seconds=0)
    assert len(stage.asked) == 3
