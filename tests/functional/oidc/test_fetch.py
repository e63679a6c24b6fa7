"""The outbound client against servers that mean ill, over real sockets on the loopback."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chalicelib.federation.failures import ProviderError
from chalicelib.federation.fetch import LARGEST_ANSWER, Fetcher, place
from tests.functional.oidc import certificates
from tests.functional.oidc.certificates import Certificate
from tests.functional.oidc.raw_server import answering, dripping, running

NAME = "idp.example"
OK = "HTTP/1.1 200 OK\nContent-Type: application/json"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificates.make(tmp_path_factory.mktemp("tls"), NAME, "127.0.0.1")


class Names:
    """A resolver that remembers how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.answers = list(addresses)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers


def fetcher(certificate: Certificate, *addresses: str, seconds: float = 5.0) -> Fetcher:
    return Fetcher(
        str(certificate.bundle),
        resolve=Names(*(addresses or ("127.0.0.1",))),
        connect_seconds=min(seconds, 3.0),
        exchange_seconds=seconds,
    )


def refused(reason: str, work: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        work()
    assert caught.value.reason == reason, caught.value
    return time.monotonic() - began


def test_an_answer_is_had_from_the_very_address_under_the_providers_name(
    certificate: Certificate,
) -> None:
    names = Names("127.0.0.1")
    with running(certificate, answering(f"{OK}\nContent-Length: 2", b"{}")) as server:
        client = Fetcher(str(certificate.bundle), resolve=names)
        answer = client.get(place(f"https://{NAME}:{server.port}/a?b=c"))
    assert (answer.status, answer.body) == (200, b"{}")
    assert names.asked == [(NAME, server.port)]
    assert server.names == [NAME]
    head = server.requests[0].decode()
    assert head.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"\r\nHost: {NAME}:{server.port}\r\n" in head
    assert head.lower().count("\r\nhost:") == 1


def test_a_name_that_changes_its_address_is_asked_once(certificate: Certificate) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with running(certificate, answering(OK, b"{}")) as server:
        answer = Fetcher(str(certificate.bundle), resolve=rebinding).get(
            place(f"https://{NAME}:{server.port}/")
        )
    assert answer.body == b"{}"
    assert len(asked) == 1


def test_a_form_is_posted_with_its_headers(certificate: Certificate) -> None:
    with running(certificate, answering(OK, b"{}")) as server:
        where = place(f"https://{NAME}:{server.port}/token")
        fetcher(certificate).post(where, "a=b", {"Authorization": "Basic eDp5"})
    head = server.requests[0].decode()
    assert head.startswith("POST /token ")
    assert "Authorization: Basic eDp5" in head
    assert "Content-Type: application/x-www-form-urlencoded" in head


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "169.254.169.254"])
def test_without_the_setting_not_even_a_connection_is_made_to_a_private_address(
    certificate: Certificate, address: str
) -> None:
    with running(certificate, answering(OK, b"{}")) as server:
        client = Fetcher(resolve=Names(address))
        refused("address_refused", lambda: client.get(place(f"https://{NAME}:{server.port}/")))
        assert server.connections == 0


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "localhost", "017700000001", "[::ffff:127.0.0.1]"]
)
def test_odd_spellings_of_the_loopback_are_refused_by_what_they_resolve_to(host: str) -> None:
    # The resolver reads these by itself: no name server is asked for a number.
    with pytest.raises(ProviderError, match=r"address_refused|name_not_found|address_invalid"):
        Fetcher().get(place(f"https://{host}/"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_no_redirect_is_followed(certificate: Certificate, status: int) -> None:
    with running(certificate, answering(OK, b"{}")) as goal:
        head = f"HTTP/1.1 {status} Elsewhere\nLocation: https://{NAME}:{goal.port}/"
        with running(certificate, answering(head)) as server:
            where = place(f"https://{NAME}:{server.port}/")
            refused("redirected", lambda: fetcher(certificate).get(where))
        assert goal.connections == 0


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_answer_is_not_read_to_its_end(certificate: Certificate, announced: bool) -> None:
    size = LARGEST_ANSWER * 40
    head = f"{OK}\nContent-Length: {size}" if announced else OK
    with running(certificate, answering(head, b"x" * size)) as server:
        where = place(f"https://{NAME}:{server.port}/")
        refused("too_large", lambda: fetcher(certificate).get(where))


def test_the_largest_answer_is_read(certificate: Certificate) -> None:
    with running(certificate, answering(OK, b"x" * LARGEST_ANSWER)) as server:
        answer = fetcher(certificate).get(place(f"https://{NAME}:{server.port}/"))
    assert len(answer.body) == LARGEST_ANSWER


SLOW = {
    "no handshake": None,
    "no answer": dripping(),
    "a head that drips": dripping(b"HTTP/1.1 200 OK\r\nX: ", endless=b"x"),
    "heads without end": dripping(b"HTTP/1.1 200 OK\r\n", endless=b"X: y\r\n"),
    "a body that drips": dripping(b"HTTP/1.1 200 OK\r\n\r\n", endless=b" "),
    "a chunked body that drips": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless=b"1\r\nx\r\n"
    ),
    "interim answers without end": dripping(endless=b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_server_costs_no_more_than_the_deadline(certificate: Certificate, kind: str) -> None:
    serve = SLOW[kind]
    with running(certificate if serve else None, serve or dripping()) as server:
        where = place(f"https://{NAME}:{server.port}/")
        took = refused("time_out", lambda: fetcher(certificate, seconds=1.0).get(where))
    assert 0.9 < took < 10.0, took


def test_a_name_that_is_not_resolved_in_time_is_given_up(certificate: Certificate) -> None:
    with socket.socket() as never:
        never.bind(("127.0.0.1", 0))
        never.listen()

        def stuck(host: str, port: int) -> list[str]:
            never.settimeout(20)
            never.accept()
            return [host, str(port)]

        client = Fetcher(str(certificate.bundle), resolve=stuck, connect_seconds=0.5)
        took = refused("time_out", lambda: client.get(place(f"https://{NAME}/")))
        with socket.create_connection(never.getsockname()):
            pass
    assert took < 10.0


def test_an_answer_that_breaks_off_is_no_answer(certificate: Certificate) -> None:
    with running(certificate, answering(f"{OK}\nContent-Length: 99", b"{}")) as server:
        where = place(f"https://{NAME}:{server.port}/")
        refused("exchange_failed", lambda: fetcher(certificate).get(where))


def test_a_compressed_answer_is_refused(certificate: Certificate) -> None:
    with running(certificate, answering(f"{OK}\nContent-Encoding: gzip", b"bomb")) as server:
        where = place(f"https://{NAME}:{server.port}/")
        refused("compressed", lambda: fetcher(certificate).get(where))


def test_a_certificate_of_another_name_is_refused_before_anything_is_said(
    certificate: Certificate,
) -> None:
    with running(certificate, answering(OK, b"{}")) as server:
        where = place(f"https://other.example:{server.port}/")
        refused("exchange_failed", lambda: fetcher(certificate).post(where, "secret=1", {}))
        assert server.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: Certificate, tmp_path: Path
) -> None:
    other = certificates.make(tmp_path, NAME)
    with running(certificate, answering(OK, b"{}")) as server:
        where = place(f"https://{NAME}:{server.port}/")
        refused("exchange_failed", lambda: fetcher(other).get(where))
        assert server.requests == []


def test_plain_http_on_the_port_is_no_answer(certificate: Certificate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        where = place(f"https://{NAME}:{plain.getsockname()[1]}/")
        took = refused("time_out", lambda: fetcher(certificate, seconds=0.5).get(where))
    assert took < 10.0


def test_a_closed_port_is_said_at_once(certificate: Certificate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    where = place(f"https://{NAME}:{port}/")
    assert refused("unreachable", lambda: fetcher(certificate).get(where)) < 2.5


def test_the_next_address_is_tried_where_one_does_not_answer(certificate: Certificate) -> None:
    with running(certificate, answering(OK, b"{}")) as server:
        where = place(f"https://{NAME}:{server.port}/")
        answer = fetcher(certificate, "::1", "127.0.0.1").get(where)
    assert answer.status == 200


def test_proxies_and_bundles_of_the_environment_are_not_used(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificate.bundle))
    with running(certificate, answering(OK, b"{}")) as server:
        where = place(f"https://{NAME}:{server.port}/")
        assert fetcher(certificate).get(where).status == 200
        # The environment vouches for it; we do not.
        refused("exchange_failed", lambda: fetcher(certificates.make(tmp_path, NAME)).get(where))
