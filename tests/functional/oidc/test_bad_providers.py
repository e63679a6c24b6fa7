"""A provider that is not there, lies or means ill costs a clear answer and little time."""

import json
import time

import pytest

from chalicelib import runtime, settings
from tests.functional.api import Answer, Api
from tests.functional.clock import FrozenClock
from tests.functional.oidc.certificates import Certificate
from tests.functional.oidc.provider import Provider
from tests.functional.oidc.raw_server import RawServer, Serve, answering, dripping, running
from tests.functional.oidc.sign_on import BEGIN, Browser, Organization

OK = "HTTP/1.1 200 OK\nContent-Type: application/json"


def begin(organization: Organization) -> Answer:
    return Browser().get(BEGIN, organization_id=organization.id)


def unavailable(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "identity_provider_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    # Which address answered what is for the log: the answer must be no way to look around.
    assert "127.0.0.1" not in json.dumps(answer.body)


def metadata(issuer: str, **changed: object) -> bytes:
    return json.dumps(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/auth",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            **changed,
        }
    ).encode()


def at(organization: Organization, server: RawServer) -> None:
    organization.configure(issuer=f"https://localhost:{server.port}")


def test_metadata_of_another_issuer_is_refused(
    organization: Organization, loopback: Certificate, idp: Provider
) -> None:
    with running(loopback, answering(OK, metadata(idp.issuer))) as server:
        at(organization, server)
        unavailable(begin(organization))


def test_metadata_that_names_an_address_inside_is_not_followed(
    organization: Organization, loopback: Certificate
) -> None:
    def serve(connection: object, server: RawServer) -> None:
        issuer = f"https://localhost:{server.port}"
        answer = metadata(issuer, authorization_endpoint="http://169.254.169.254/latest")
        answering(OK, answer)(connection, server)  # type: ignore[arg-type]

    with running(loopback, serve) as server:
        at(organization, server)
        unavailable(begin(organization))


BAD = {
    "a redirect": answering("HTTP/1.1 302 Found\nLocation: https://localhost/"),
    "an error": answering("HTTP/1.1 500 Oops"),
    "a page": answering("HTTP/1.1 200 OK\nContent-Type: text/html", b"<html>"),
    "too much": answering(OK, b"[" + b" " * 300_000 + b"]"),
    "half an answer": answering(f"{OK}\nContent-Length: 4000", b"{"),
    "no http": answering("SSH-2.0-OpenSSH"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_metadata_is_no_provider(
    organization: Organization, loopback: Certificate, kind: str
) -> None:
    with running(loopback, BAD[kind]) as server:
        at(organization, server)
        unavailable(begin(organization))


def test_a_slow_provider_costs_five_seconds_once(
    organization: Organization, loopback: Certificate
) -> None:
    slow: Serve = dripping(b"HTTP/1.1 200 OK\r\n\r\n", endless=b" ")
    with running(loopback, slow) as server:
        at(organization, server)
        began = time.monotonic()
        unavailable(begin(organization))
        assert 4.5 < time.monotonic() - began < 9
        for _ in range(5):
            unavailable(begin(organization))
        assert server.connections == 1


def test_a_provider_that_is_down_is_said_to_be(
    organization: Organization, loopback: Certificate
) -> None:
    with running(loopback, answering(OK)) as server:
        at(organization, server)
    unavailable(begin(organization))


def test_a_provider_that_goes_down_between_the_halves_opens_nothing(
    organization: Organization, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser()
    back = idp.log_in(browser.begin(organization.id), idp.account("between", groups=["ops"]))
    providers = runtime.current().providers
    monkeypatch.setattr(providers._fetcher, "_resolve", lambda *_: [])
    unavailable(browser.come_back(**back))


@pytest.fixture
def deployed(sign_on: Api, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The same app with the settings of a stage that can be deployed."""
    monkeypatch.setenv("ROLLCALL_STAGE", "functional")
    monkeypatch.delenv("ROLLCALL_OIDC_LOOPBACK_CA")
    settings.load.cache_clear()
    runtime.use(runtime.Runtime(clock=clock))
    return sign_on


def test_without_the_setting_a_provider_on_the_loopback_is_not_asked(
    organization: Organization, loopback: Certificate, deployed: Api
) -> None:
    assert deployed
    with running(loopback, answering(OK, b"{}")) as server:
        for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "[::1]"):
            organization.configure(issuer=f"https://{host}:{server.port}")
            unavailable(begin(organization))
        assert server.connections == 0
