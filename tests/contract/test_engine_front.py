"""The pass-through before an engine: faithful, watchable, and honest when the engine is away."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from infra.emulator.http_server import Answer, HttpServer
from infra.emulator.wire import Head, Wire
from infra.engines.front import Front


class Recorder:
    """An engine that says what it was asked."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.bodies: list[bytes] = []
        self.server = HttpServer("engine", self._handle)

    def _handle(self, wire: Wire, head: Head, peer: str) -> Answer:
        assert peer == "127.0.0.1"
        self.heads.append(head)
        self.bodies.append(wire.read_body(head, 1 << 20))
        length = [("Content-Length", "1234")] if head.method == "HEAD" else []
        return 201, [("ETag", '"abc"'), ("X-Twice", "1"), ("X-Twice", "2"), *length], b"made"


@pytest.fixture
def engine() -> Iterator[Recorder]:
    recorder = Recorder()
    recorder.server.start()
    yield recorder
    recorder.server.stop()


@pytest.fixture
def front(engine: Recorder) -> Iterator[Front]:
    with ExitStack() as running:
        made = Front("front", engine.server.url)
        running.callback(made.stop)
        made.start()
        yield made


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def test_a_request_passes_as_it_was_signed(
    front: Front, engine: Recorder, http: httpx.Client
) -> None:
    path = "/bucket/in/a%20b+c?X-Amz-Signature=0%2F1&list-type=2"
    answer = http.put(f"{front.url}{path}", content=b"\0\1", headers={"X-Amz-Date": "now"})
    assert (answer.status_code, answer.content) == (201, b"made")
    assert answer.headers["ETag"] == '"abc"'
    assert answer.headers.get_list("X-Twice") == ["1", "2"]
    (head,) = engine.heads
    assert (head.method, head.target) == ("PUT", path)
    assert head.get("host") == front.url.removeprefix("http://")
    assert head.get("x-amz-date") == "now"
    assert engine.bodies == [b"\0\1"]


def test_a_chunked_body_arrives_whole(front: Front, engine: Recorder, http: httpx.Client) -> None:
    assert http.post(f"{front.url}/", content=iter([b"one", b"two"])).status_code == 201
    assert engine.bodies == [b"onetwo"]


def test_the_length_of_what_head_does_not_carry_is_kept(front: Front, http: httpx.Client) -> None:
    answer = http.head(f"{front.url}/bucket/key")
    assert answer.headers["Content-Length"] == "1234"
    assert answer.content == b""


def test_an_interceptor_answers_in_the_engines_place_or_lets_it_pass(
    front: Front, engine: Recorder, http: httpx.Client
) -> None:
    def refuse(head: Head, path: str, query: str, body: bytes) -> Answer | None:
        assert (head.method, query, body) == ("GET", "", b"")
        return (400, [], b"refused") if path == "/refused" else None

    front.interceptors.append(refuse)
    assert http.get(f"{front.url}/refused").content == b"refused"
    assert engine.heads == []
    assert http.get(f"{front.url}/passed").content == b"made"


def test_a_cut_answer_is_no_answer_although_the_engine_has_done_it(
    front: Front, engine: Recorder, http: httpx.Client
) -> None:
    def cut(head: Head, path: str, query: str, body: bytes) -> Answer | None:
        del path, query
        front.forward(head, body)
        raise ConnectionAbortedError

    front.interceptors.append(cut)
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"{front.url}/")
    assert len(engine.heads) == 1


def test_an_observer_sees_what_was_asked_and_answered(front: Front, http: httpx.Client) -> None:
    seen: list[tuple[str, bytes, int]] = []
    front.observers.append(lambda head, body, answer: seen.append((head.target, body, answer[0])))
    http.put(f"{front.url}/bucket/key", content=b"x")
    assert seen == [("/bucket/key", b"x", 201)]


def test_an_engine_that_is_away_gives_no_answer(
    http: httpx.Client,
) -> None:
    first = Recorder()
    first.server.start()
    front = Front("front", first.server.url)
    front.start()
    try:
        assert http.get(f"{front.url}/").status_code == 201
        first.server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(f"{front.url}/")
    finally:
        front.stop()


def test_a_connection_that_the_engine_has_closed_is_not_used_again(
    front: Front, engine: Recorder, http: httpx.Client
) -> None:
    assert http.get(f"{front.url}/one").status_code == 201
    for wire in list(engine.server._wires):
        wire.close()
    assert http.get(f"{front.url}/two").status_code == 201
