"""What the doctor makes of name servers, proxies, certificates and answers."""

from __future__ import annotations

import socket

import pytest
from rollcall_agent.doctor import answering, certificates, paths
from rollcall_agent.doctor.check import Check, Outcome
from rollcall_agent.doctor.peer import Certificate, UntrustedError, of_peer
from rollcall_agent.doctor.servers import BadProxyError, Proxy, Server, proxy_for
from rollcall_agent.doctor.wire import (
    Fetched,
    NotTlsError,
    ProxyRefusedError,
    UnreachableError,
)

from tests.unit.agent.doctor.fake_network import HEALTHY, NOW, PROBLEM, FakeNetwork, fetched

URL = "https://cp.example/prod"
SERVER = Server.of(URL)
PROXY = Proxy("HTTPS_PROXY", "http", "proxy.example", 3128)
DAY = 86400


def says(check: Check, outcome: Outcome, *words: str) -> None:
    assert check.outcome is outcome
    for word in words:
        assert word in check.line()


def test_a_name_that_is_found_is_shown_with_its_addresses() -> None:
    network = FakeNetwork([f"192.0.2.{number}" for number in range(6)])
    check = paths.check_dns(network, SERVER, None)
    says(check, Outcome.OK, "cp.example is 192.0.2.0, 192.0.2.1, 192.0.2.2, 192.0.2.3, ...")


@pytest.mark.parametrize(
    ("error", "words"),
    [(socket.EAI_AGAIN, "no name server answered"), (socket.EAI_NONAME, "no host of the name")],
)
def test_a_silent_name_server_is_told_from_a_name_that_does_not_exist(
    error: int, words: str
) -> None:
    check = paths.check_dns(FakeNetwork(socket.gaierror(error, "x")), SERVER, None)
    says(check, Outcome.FAILED, words, "Next:")


def test_behind_a_proxy_and_for_an_address_nothing_is_looked_up() -> None:
    network = FakeNetwork()
    says(paths.check_dns(network, SERVER, PROXY), Outcome.SKIPPED, "proxy looks cp.example up")
    check = paths.check_dns(network, Server.of("https://[2001:db8::1]:8443/x"), None)
    says(check, Outcome.SKIPPED, "is an address")
    assert network.asked == []


def test_the_proxy_of_the_scheme_goes_before_the_one_for_all() -> None:
    settings = {"https": "http://a.example:1", "all": "http://b.example:2", "http": "c.example:3"}
    assert proxy_for(URL, settings) == Proxy("HTTPS_PROXY", "http", "a.example", 1)
    del settings["https"]
    assert proxy_for(URL, settings) == Proxy("ALL_PROXY", "http", "b.example", 2)
    found = proxy_for("http://cp.example", settings)
    assert found == Proxy("HTTP_PROXY", "http", "c.example", 3)
    assert proxy_for(URL, {**settings, "no": "cp.example"}) is None


def test_a_proxys_password_is_sent_and_never_shown() -> None:
    proxy = proxy_for(URL, {"https": "http://me:p%40ss@proxy.example:3128"})
    assert proxy is not None
    assert proxy.authorization == "Basic bWU6cEBzcw=="
    check, _ = paths.check_proxy(
        FakeNetwork(), SERVER, {"https": "http://me:p%40ss@proxy.example:3128"}
    )
    says(check, Outcome.OK, "http://proxy.example:3128 (HTTPS_PROXY) applies and answers")
    for text in (repr(proxy), check.line()):
        assert "ss@" not in text
        assert "bWU6" not in text


@pytest.mark.parametrize("text", ["http://", "http://proxy.example:99999", "http://[::1"])
def test_a_proxy_that_is_no_url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadProxyError):
        proxy_for(URL, {"https": text})
    check, _ = paths.check_proxy(FakeNetwork(), SERVER, {"https": text})
    says(check, Outcome.FAILED, "HTTPS_PROXY holds no URL of a proxy")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnreachableError("nothing listens there"), "cannot be reached: nothing listens there"),
        (ProxyRefusedError(407), "wants a user name and a password"),
        (ProxyRefusedError(403), "refuses to connect to cp.example:443 (HTTP 403)"),
    ],
)
def test_a_proxy_that_is_of_no_use_says_why(error: Exception, words: str) -> None:
    network = FakeNetwork(connected=error)
    check, _ = paths.check_proxy(network, SERVER, {"https": "http://proxy.example:3128"})
    says(check, Outcome.FAILED, words, "Next:")


def test_no_proxy_no_proxy_for_this_host_and_an_excepted_host_are_told_apart() -> None:
    settings = {"https": "http://proxy.example", "http": "http://proxy.example"}
    of_this_host = Server.of("http://127.0.0.1:8000/dev")
    for server, given, words in (
        (SERVER, {}, "None applies."),
        (SERVER, {**settings, "no": "cp.example"}, "NO_PROXY names the host"),
        (of_this_host, settings, "this host itself"),
    ):
        network = FakeNetwork()
        check, proxy = paths.check_proxy(network, server, given)
        says(check, Outcome.OK, words)
        assert (proxy, network.asked) == (None, [])


def test_a_proxy_of_another_kind_is_warned_about() -> None:
    check, proxy = paths.check_proxy(FakeNetwork(), SERVER, {"https": "https://proxy.example"})
    says(check, Outcome.WARNING, "does not look through such a proxy")
    assert proxy is not None


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_socks_is_a_failure_that_shows_no_password(scheme: str) -> None:
    found = {"all": f"{scheme}://user:hunter2@proxy.example"}
    check, _ = paths.check_proxy(FakeNetwork(), SERVER, found)
    says(check, Outcome.FAILED, "SOCKS", "ALL_PROXY")
    assert "hunter2" not in repr(check)


def tls(certificate: Certificate | Exception, proxy: Proxy | None = None) -> Check:
    return certificates.check_tls(FakeNetwork(certificate=certificate), SERVER, proxy, NOW)


def test_a_good_certificate_says_who_signed_it_and_how_long_it_lasts() -> None:
    says(tls(Certificate("Example CA", NOW + 30.5 * DAY)), Outcome.OK, "Example CA", "30 days left")


@pytest.mark.parametrize(
    ("days", "outcome"), [(13, Outcome.WARNING), (14, Outcome.OK), (1, Outcome.WARNING)]
)
def test_a_certificate_that_ends_soon_is_warned_about(days: int, outcome: Outcome) -> None:
    assert tls(Certificate("Example CA", NOW + days * DAY)).outcome is outcome


@pytest.mark.parametrize(
    ("code", "shown", "words"),
    [
        (10, Certificate("CA", NOW - DAY), "expired on 2026-09-20"),
        (10, None, "The certificate expired, by this host's clock"),
        (9, None, "not valid yet"),
        (62, None, "for another name than cp.example"),
        (64, None, "for another name than cp.example"),
        (18, Certificate("Corp Root", None), "Corp Root, which this host does not know"),
        (19, None, "a CA that does not say its name"),
        (20, Certificate("Corp Root", None), "ROLLCALL_CA_BUNDLE"),
        (20, Certificate("Zscaler Inc. Zscaler Root CA", None), "opened on its way"),
        (99, None, "OpenSSL's reason 99"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_apart(
    code: int, shown: Certificate | None, words: str
) -> None:
    says(tls(UntrustedError(code, shown)), Outcome.FAILED, words, "Next:")


def test_an_unknown_ca_behind_a_proxy_is_taken_for_interception() -> None:
    error = UntrustedError(20, Certificate("Corp Root", None))
    says(tls(error, PROXY), Outcome.FAILED, "opened on its way", "Corp Root")


def test_interception_that_the_host_believes_is_warned_about() -> None:
    check = tls(Certificate("Fortinet FGT60F", NOW + 90 * DAY))
    says(check, Outcome.WARNING, "can read the agent's key")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotTlsError("WRONG_VERSION_NUMBER"), "does not speak TLS"),
        (UnreachableError("no answer in time"), "no answer in time"),
        (ProxyRefusedError(502), "the proxy answered 502"),
    ],
)
def test_no_tls_at_all_is_told_from_a_bad_certificate(error: Exception, words: str) -> None:
    says(tls(error), Outcome.FAILED, words, "Next:")


def test_issuer_and_end_are_read_from_what_the_ssl_module_says() -> None:
    issuer = ((("organizationName", "Example\nTrust"),), (("commonName", "R3"),))
    parsed = {"issuer": issuer, "notAfter": "Sep 21 14:13:20 2026 GMT"}
    assert of_peer(parsed) == Certificate("Example Trust R3", NOW)
    assert of_peer({}) == Certificate(None, None)


def reach(answer: Fetched | Exception) -> Check:
    return answering.check_reach(FakeNetwork(answer=answer), SERVER, None)[0]


def test_the_applications_own_sign_of_life_is_a_success() -> None:
    network = FakeNetwork()
    check, answer = answering.check_reach(network, SERVER, None)
    says(check, Outcome.OK, URL)
    assert answer is HEALTHY
    assert network.asked == [("fetch", "cp.example:443", None, "/healthz")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fetched(302, location="https://portal.example/login?x=1"), "on to portal.example"),
        (fetched(301, location="https://cp.example/"), "follows nobody"),
        (fetched(302), "follows nobody"),
        (fetched(511), "HTTP 511"),
        (fetched(200, b"<html>", content_type="text/html; charset=utf-8"), "page for browsers"),
        (fetched(403, b"<html>", content_type="text/html"), "page for browsers"),
        (fetched(200, {"hello": 1}, content_type="application/json"), "not the control plane's"),
        (fetched(200, [], content_type="application/json"), "not the control plane's"),
        (fetched(200, b"[" * 60000), "not the control plane's"),
        (fetched(403, {"message": "Missing Authentication Token"}), "no stage of this name"),
        (fetched(403, {"message": "Forbidden"}), "no stage of this name"),
        (
            fetched(403, {}, x_amzn_errortype="MissingAuthenticationTokenException"),
            "no stage of this name",
        ),
        (
            fetched(403, {}, x_amzn_errortype="IncompleteSignatureException"),
            "no stage of this name",
        ),
        (fetched(403, {"message": "No."}), "not the control plane's"),
        (fetched(403, {"message": "Forbidden", "code": "x"}), "not the control plane's"),
        (
            fetched(404, {"code": "route_not_found"}, content_type=PROBLEM["content-type"]),
            "not at this path",
        ),
        (fetched(404, {"code": "route_not_found"}), "not the control plane's"),
        (fetched(407), "wants a user name"),
        (fetched(429), "not able to answer right now (HTTP 429)"),
        (fetched(503), "not able to answer right now (HTTP 503)"),
        (UnreachableError("nothing listens there"), "nothing listens there"),
        (ProxyRefusedError(403), "see the line about the proxy"),
        (UntrustedError(20, None), "see the line about TLS"),
    ],
)
def test_whatever_else_answers_is_told_apart(answer: Fetched | Exception, words: str) -> None:
    says(reach(answer), Outcome.FAILED, words, "Next:")


@pytest.mark.parametrize(
    ("ahead", "outcome", "words"),
    [
        (0, Outcome.OK, "The clock is right"),
        (-1.9, Outcome.OK, "The clock is right"),
        (30, Outcome.OK, "30 s ahead of the control plane's."),
        (31, Outcome.WARNING, "31 s ahead of the control plane's."),
        (-31, Outcome.WARNING, "31 s behind the control plane's."),
        (300, Outcome.WARNING, "300 s ahead"),
        (301, Outcome.FAILED, "301 s ahead"),
        (-86400, Outcome.FAILED, "86400 s behind"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(ahead: float, outcome: Outcome, words: str) -> None:
    says(answering.judge_clock(fetched(200, at=NOW + ahead)), outcome, words)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Sep 2026 14:13:20 GMT"])
def test_without_a_time_in_the_answer_the_clock_is_not_judged(date: str) -> None:
    says(answering.judge_clock(fetched(200, date=date)), Outcome.SKIPPED)
    says(answering.judge_clock(None), Outcome.SKIPPED)
