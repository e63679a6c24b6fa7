"""What the deployed gateway answers by itself: problem details too, and never a hang."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, assert_problem

MIB = 1024 * 1024


@pytest.fixture
def http(stack: LocalStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", "/api/v1"),
        ("GET", "/api/v2/agents"),
        ("TRACE", "/healthz"),
        ("BREW", "/healthz"),
        ("OPTIONS", "/api/v1"),
        ("HEAD", "/nowhere"),
        ("GET", "/api/v1/agents/a/b/c/d"),
        ("GET", "/api/v1/agents/../../healthz/"),
        ("POST", "/api/v1/agents//telemetry/heartbeat"),
    ],
)
def test_an_unknown_route_or_method_is_route_not_found(
    http: httpx.Client, method: str, path: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 404, answer.text
    if method != "HEAD":
        assert_problem(answer)
        assert answer.json()["code"] == "route_not_found"


def test_a_credential_at_an_unknown_route_is_refused_by_api_gateway_in_either_way(
    stack: LocalStack, http: httpx.Client
) -> None:
    headers = {"Authorization": "Bearer rca_x"}
    own = http.get("/nowhere", headers=headers)
    assert (own.status_code, own.headers["x-amzn-errortype"]) == (
        403,
        "IncompleteSignatureException",
    )
    assert set(own.json()) == {"message"}
    stack.cloud.configure_signature_answers(on=True)
    try:
        ours = http.get("/nowhere", headers=headers)
    finally:
        stack.cloud.configure_signature_answers(on=False)
    assert (ours.status_code, ours.json()["code"]) == (404, "route_not_found")
    assert "rca_x" not in ours.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/agents", "GET, OPTIONS"),
        ("PUT", "/api/v1/agents/agt_x", "GET, OPTIONS, PATCH"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/agent-enrollment/exchange", "OPTIONS, POST"),
        ("HEAD", "/api/v1/agents", "GET, OPTIONS"),
    ],
)
def test_another_method_of_a_route_is_answered_with_those_that_it_has(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        assert_problem(answer)
        assert answer.json()["code"] == "method_not_allowed"


def test_options_and_head_are_answered_and_no_other_site_is_let_in(http: httpx.Client) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    options = http.options("/api/v1/agents", headers=origin)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, OPTIONS")
    assert not [name for name in options.headers if name.startswith("access-control")]
    for path in ("/healthz", "/readyz", "/install/install.sh"):
        get, head = http.get(path), http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_the_application_sees_no_body_over_the_limit(http: httpx.Client, calls: Calls) -> None:
    token = calls.mint()
    headers = {"Authorization": f"Bearer {token.secret}", "Content-Type": "application/json"}
    for size in (10 * MIB + 1, 10 * MIB, 7 * MIB, 5 * MIB, MIB, 300_000):
        answer = http.post(
            "/api/v1/agent-enrollment/exchange", content=b"[" + b"1" * size, headers=headers
        )
        assert answer.status_code == 413, (size, answer.text[:200])
        assert_problem(answer)
        assert answer.json()["code"] == "body_too_large"
    assert calls.uses(token) == 0


def test_no_answer_may_be_kept_and_every_one_names_its_request(http: httpx.Client) -> None:
    for path in ("/healthz", "/nowhere", "/api/v1/agents"):
        answer = http.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-amzn-requestid"]
        if not answer.is_success:
            assert answer.json()["request_id"] == answer.headers["x-amzn-requestid"]


RAW_BUT_HTTP = {
    "a broken escape": b"GET {base}/api/v1/agents/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the path": b"GET {base}/api/v1/agents/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes that are no UTF-8": b"GET {base}/api/v1/agents/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bearer of control characters": (
        b"GET {base}/api/v1/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \x01\x02\r\n\r\n"
    ),
    "a bearer of another alphabet": (
        "GET {base}/api/v1/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rco_Ωλ\r\n\r\n"
    ).encode(),
    "the same header twice": (
        b"GET {base}/api/v1/agents HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer rco_a\r\nAuthorization: Bearer rco_b\r\n\r\n"
    ),
    "a text in another encoding": (
        b"POST {base}/api/v1/agent-enrollment/check HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        b'{"hostname":"\xe9"}'
    ),
    "a query of junk": (
        b"GET {base}/api/v1/agents?&&=&%00=%ff&limit=1e9 HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
    "a body that is no JSON": (
        b"POST {base}/api/v1/agent-enrollment/exchange HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\n\x00\xff\xfe{}"
    ),
    "a chunked body": (
        b"POST {base}/api/v1/agent-enrollment/exchange HTTP/1.1\r\nHost: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "a host that is another's": (
        b"GET {base}/api/v1/agents HTTP/1.1\r\nHost: evil.example\r\n"
        b"X-Forwarded-Host: evil.example\r\n\r\n"
    ),
}
NOT_HTTP = {
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET {base}/healthz\r\n\r\n",
    "a length that is no number": (
        b"POST {base}/healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"
    ),
    "two lengths": (
        b"POST {base}/healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a head without end": b"GET {base}/healthz HTTP/1.1\r\n" + b"x: " + b"y" * 100_000,
}


def raw(stack: LocalStack, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, half-close, and read what comes; an answer must come in a bounded time."""
    url = urlsplit(stack.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as sock:
        sock.sendall(request.replace(b"{base}", url.path.encode()))
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while part := sock.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize("request_bytes", RAW_BUT_HTTP.values(), ids=RAW_BUT_HTTP.keys())
def test_a_strange_request_is_refused_with_problem_details(
    stack: LocalStack, request_bytes: bytes
) -> None:
    status, headers, body = raw(stack, request_bytes)
    assert 400 <= status < 500
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"]
    assert b"evil.example" not in body


@pytest.mark.parametrize("request_bytes", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_refused_and_the_connection_closed(
    stack: LocalStack, http: httpx.Client, request_bytes: bytes
) -> None:
    status, headers, _ = raw(stack, request_bytes)
    assert status in {400, 431}
    assert headers["connection"] == "close"
    assert http.get("/healthz").status_code == 200


def test_clients_that_vanish_take_nothing_with_them(
    stack: LocalStack, http: httpx.Client, calls: Calls
) -> None:
    token = calls.mint()
    url = urlsplit(stack.url)
    head = (
        f"POST {url.path}/api/v1/agent-enrollment/exchange HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token.secret}\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    for text in (head[:40], head, head + '{"hostname": "half'):
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=10) as sock:
            sock.sendall(text.encode())
    assert http.get("/readyz").status_code == 200
    assert calls.uses(token) == 0
