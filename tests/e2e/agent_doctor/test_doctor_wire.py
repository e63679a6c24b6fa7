"""The doctor's own connections, to real servers with real certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent.clock import SystemClock
from rollcall_agent.doctor import answering, certificates, paths
from rollcall_agent.doctor.check import Check, Outcome
from rollcall_agent.doctor.servers import Proxy, Server
from rollcall_agent.doctor.wire import Wire
from rollcall_agent.facts.address_dump import dump, lasting_addresses
from rollcall_agent.facts.collector import Collector
from rollcall_agent.facts.host import Host

from tests.e2e.agent_doctor.authority import Authority
from tests.e2e.agent_doctor.servers import control_plane, proxy, unused_port

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def wire(authority: Authority) -> Wire:
    context = ssl.create_default_context(cafile=authority.bundle)
    return Wire(lambda: context, CLOCK, seconds=5)


@pytest.fixture(scope="module")
def good(authority: Authority) -> Iterator[int]:
    with control_plane(authority.server("localhost")) as (port, _):
        yield port


def server(port: int, host: str = "localhost", stage: str = "prod") -> Server:
    return Server.of(f"https://{host}:{port}/{stage}")


def tls(wire: Wire, found: Server, through: Proxy | None = None) -> Check:
    return certificates.check_tls(wire, found, through, CLOCK.now())


def through(port: int, authorization: str | None = None) -> Proxy:
    return Proxy("HTTPS_PROXY", "http", "127.0.0.1", port, authorization)


def test_a_good_server_passes_with_its_days_counted(wire: Wire, good: int) -> None:
    check = tls(wire, server(good))
    assert check.outcome is Outcome.OK
    assert "Test Root CA" in check.what
    assert "89 days left" in check.what
    reached, fetched = answering.check_reach(wire, server(good), None)
    assert reached.outcome is Outcome.OK
    assert answering.judge_clock(fetched).what == "The clock is right"


@pytest.mark.parametrize(
    ("name", "days", "outcome", "words"),
    [
        ("localhost", -2, Outcome.FAILED, "The certificate expired on 20"),
        ("localhost", 5, Outcome.WARNING, "ends in 4 days"),
        ("other.example", 90, Outcome.FAILED, "for another name than localhost"),
    ],
)
def test_a_bad_certificate_is_told_by_what_is_wrong_with_it(
    wire: Wire, authority: Authority, name: str, days: int, outcome: Outcome, words: str
) -> None:
    with control_plane(authority.server(name, days=days)) as (port, seen):
        check = tls(wire, server(port))
        assert check.outcome is outcome
        assert words in check.what
        if outcome is Outcome.FAILED:
            _, fetched = answering.check_reach(wire, server(port), None)
            assert fetched is None
            assert seen.requests == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("Corp Root", "signed by Corp Root"), ("mitmproxy", "opened on its way")],
)
def test_an_unknown_authority_is_named_and_interception_is_recognised(
    wire: Wire, tmp_path: Path, name: str, words: str
) -> None:
    stranger = Authority.create(tmp_path, name)
    with control_plane(stranger.server("localhost")) as (port, seen):
        check = tls(wire, server(port))
        assert check.outcome is Outcome.FAILED
        assert words in check.what
        assert seen.requests == []


def test_a_server_without_tls_and_a_silent_port_are_told_apart(wire: Wire) -> None:
    with control_plane() as (port, _):
        assert "does not speak TLS" in tls(wire, server(port)).what
    assert "nothing listens there" in tls(wire, server(unused_port())).what


def test_a_wrong_stage_is_told_from_the_control_plane(wire: Wire, good: int) -> None:
    check, _ = answering.check_reach(wire, server(good, stage="dev"), None)
    assert check.outcome is Outcome.FAILED
    assert "no stage of this name" in check.what


def test_a_proxy_is_passed_with_its_password(wire: Wire, good: int) -> None:
    with proxy(good, authorization="Basic bWU6cEBzcw==") as port:
        passes = through(port, "Basic bWU6cEBzcw==")
        assert tls(wire, server(good), passes).outcome is Outcome.OK
        reached, _ = answering.check_reach(wire, server(good), passes)
        assert reached.outcome is Outcome.OK
        settings = {"https": f"http://127.0.0.1:{port}"}
        check, _ = paths.check_proxy(wire, server(good, "cp.example"), settings)
        assert "wants a user name and a password" in check.what


def test_a_proxy_that_refuses_and_one_that_is_gone_are_told_apart(wire: Wire, good: int) -> None:
    with proxy(good, answer=403) as port:
        settings = {"https": f"http://127.0.0.1:{port}"}
        check, _ = paths.check_proxy(wire, server(good, "cp.example"), settings)
        assert "(HTTP 403)" in check.what
    settings = {"https": f"http://127.0.0.1:{unused_port()}"}
    check, _ = paths.check_proxy(wire, server(good, "cp.example"), settings)
    assert "cannot be reached: nothing listens there" in check.what


def test_a_host_that_does_not_exist_is_said_to(wire: Wire) -> None:
    check = paths.check_dns(wire, Server.of("https://no-such-host.invalid/prod"), None)
    assert check.outcome is Outcome.FAILED
    assert paths.check_dns(wire, Server.of("https://localhost/prod"), None).outcome is Outcome.OK


def test_this_hosts_own_facts_are_read_and_do_not_wobble() -> None:
    addresses = [one for found in lasting_addresses(dump()).values() for one in found]
    assert "127.0.0.1" in addresses
    collector = Collector()
    first, second = collector.current(), collector.current()
    assert first.sha256 == second.sha256
    assert {"hostname", "os", "arch", "kernel", "boot_time", "memory_bytes"} <= set(first.document)


def test_psutil_says_of_this_host_what_proc_and_sys_say() -> None:
    """What is used where there is no /proc is tried where there is: both must agree."""
    by_proc = Collector().current().document
    by_psutil = Collector(replace(Host(), platform="darwin")).current().document
    for name in ("memory_bytes", "boot_time", "disks", "primary_address"):
        assert by_psutil[name] == by_proc[name]
    named = [{one["name"]: one for one in listed(found)} for found in (by_proc, by_psutil)]
    assert named[0].keys() == named[1].keys()
    for name, one in named[0].items():
        for flag in ("is_management", "is_loopback", "is_up"):
            assert named[1][name][flag] == one[flag]
    for name in ("lo", *(name for name, one in named[0].items() if one["is_management"])):
        assert "127.0.0.1" in named[1]["lo"]["addresses"]
        assert set(named[0][name]["addresses"]) <= set(named[1][name]["addresses"])


def listed(document: dict[str, object]) -> list[dict[str, Any]]:
    found = document["interfaces"]
    assert isinstance(found, list)
    return found
