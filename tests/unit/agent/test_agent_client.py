from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import LARGEST_ANSWER, Call, ControlPlane, agent_path
from rollcall_agent.exits import AgentError
from rollcall_agent.file_form import FileForm
from rollcall_agent.secret import Secret
from rollcall_agent.sendable import Measured, measure

from tests.unit.agent.fakes import FakeClock

BASE = "https://cp.example/prod"
Serve = Callable[[httpx.Request], httpx.Response]


def ask(serve: Serve, call: Call | None = None, clock: FakeClock | None = None) -> Answer:
    transport = httpx.MockTransport(serve)
    with closing(ControlPlane(BASE, clock=clock or FakeClock(), transport=transport)) as plane:
        return plane.call(call or Call("GET", "/healthz"))


def reply(status: int, content: bytes = b"", **headers: str) -> httpx.Response:
    """Build a response whose body still has to be read, as one from the network has."""
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content))


def answering(status: int, content: bytes, kind: str = "application/json") -> Serve:
    return lambda _: reply(status, content, **{"Content-Type": kind})


def test_the_path_goes_below_the_stage_and_the_key_only_into_its_header() -> None:
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return reply(200)

    path = agent_path("agt_1", "telemetry", "heartbeat")
    ask(serve, Call("POST", path, body={"sequence": 1}, bearer=Secret("rca_key")))
    ask(serve)

    assert str(seen[0].url) == f"{BASE}/api/v1/agents/agt_1/telemetry/heartbeat"
    assert seen[0].headers["authorization"] == "Bearer rca_key"
    assert seen[0].headers["user-agent"].startswith("rollcall-agent/")
    assert json.loads(seen[0].content) == {"sequence": 1}
    assert "authorization" not in seen[1].headers


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert agent_path("../x?y", "artifacts") == "/api/v1/agents/..%2Fx%3Fy/artifacts"


def test_problem_details_are_recognised_by_their_content_type() -> None:
    content = json.dumps({"code": "key_revoked"}).encode()
    answer = ask(answering(401, content, "application/problem+json; charset=utf-8"))
    assert answer.code == "key_revoked"
    assert answer.ends_identity


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"code": "key_revoked"}', "application/json"),
        (b'{"message": "Unauthorized"}', "application/json"),
        (b"<html>key_revoked</html>", "text/html"),
        (b"<html>key_revoked</html>", "application/problem+json"),
        (b'["key_revoked"]', "application/problem+json"),
        (b'{"code": ["key_revoked"]}', "application/problem+json"),
        (b"", "application/problem+json"),
        (b"\xff\xfe", "application/problem+json"),
        (b"[" * 100_000, "application/problem+json"),
    ],
)
def test_a_401_that_is_not_the_applications_own_never_ends_an_identity(
    content: bytes, kind: str
) -> None:
    answer = ask(answering(401, content, kind))
    assert answer.code is None
    assert not answer.ends_identity
    assert "not the control plane's application" in explain(answer)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return reply(302, Location="https://elsewhere.example/")

    assert ask(serve, Call("GET", "/healthz", bearer=Secret("rca_key"))).status == 302
    assert len(seen) == 1


def test_an_endless_answer_is_cut_off() -> None:
    with pytest.raises(NoAnswerError, match="larger"):
        ask(answering(200, b" " * (LARGEST_ANSWER + 1)))


def test_an_answer_that_drips_is_cut_off() -> None:
    clock = FakeClock()

    class Dripping(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(100):
                clock.sleep(1)
                yield b" "

    with pytest.raises(NoAnswerError, match="in time"):
        ask(lambda _: httpx.Response(200, stream=Dripping()), clock=clock)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("rca_key"), "no connection"),
        (httpx.ReadTimeout("rca_key"), "no answer in time"),
        (httpx.RemoteProtocolError("rca_key"), "before the answer was complete"),
        (httpx.ReadError("rca_key"), "the connection broke"),
        (httpx.UnsupportedProtocol("rca_key"), "UnsupportedProtocol"),
    ],
)
def test_a_network_error_has_a_reason_that_quotes_nothing(
    error: httpx.HTTPError, reason: str
) -> None:
    def serve(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(NoAnswerError) as failure:
        ask(serve)
    assert reason in failure.value.reason
    assert "rca_key" not in failure.value.reason


def form_of(file: Measured, seen: list[int]) -> FileForm:
    return FileForm({"key": "incoming/a", "policy": "p"}, file, "text/plain", seen.append)


def test_a_form_posts_its_fields_first_and_the_file_last_with_a_length(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"x" * 200_000)
    seen: list[int] = []
    bodies: list[tuple[httpx.Headers, bytes]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        bodies.append((request.headers, request.read()))
        return reply(204)

    with closing(
        ControlPlane(BASE, clock=FakeClock(), transport=httpx.MockTransport(serve))
    ) as plane:
        answer = plane.post_form("https://store.example/", form_of(measure(path), seen))

    headers, body = bodies[0]
    assert answer.succeeded
    assert "authorization" not in headers
    assert int(headers["content-length"]) == len(body)
    assert body.index(b'name="key"') < body.index(b'name="policy"') < body.index(b'name="file"')
    assert seen[-1] == 200_000
    assert seen == sorted(seen)


def test_a_file_that_changed_since_it_was_announced_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"short")
    file = measure(path)
    path.write_bytes(b"longer than announced")
    transport = httpx.MockTransport(answering(204, b""))
    with (
        closing(ControlPlane(BASE, clock=FakeClock(), transport=transport)) as plane,
        pytest.raises(AgentError, match="changed while"),
    ):
        plane.post_form("https://store.example/", form_of(file, []))


@pytest.mark.parametrize("url", ["https://xn--/", "https://[::1", "https://a b/", "https://"])
def test_a_presigned_url_that_is_none_is_a_clear_failure(tmp_path: Path, url: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"x")
    transport = httpx.MockTransport(answering(204, b""))
    with (
        closing(ControlPlane(BASE, clock=FakeClock(), transport=transport)) as plane,
        pytest.raises((AgentError, NoAnswerError)),
    ):
        plane.post_form(url, form_of(measure(path), []))


def test_a_file_is_not_sent_over_plain_http_to_another_host(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"x")
    transport = httpx.MockTransport(answering(204, b""))
    with (
        closing(ControlPlane(BASE, clock=FakeClock(), transport=transport)) as plane,
        pytest.raises(AgentError, match="plain http"),
    ):
        plane.post_form("http://store.example/", form_of(measure(path), []))


def test_a_servers_words_cannot_move_the_cursor_or_forge_a_line() -> None:
    body = {
        "code": "validation_failed",
        "detail": "bad\x1b[2J\nerror: all is lost",
        "errors": [{"path": "name", "message": "too long"}, "junk"],
    }
    line = explain(Answer(400, body, problem=True))
    assert "\x1b" not in line
    assert "\n" not in line
    assert "name: too long" in line
