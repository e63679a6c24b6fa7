"""The doctor's visit as a whole: order, what is not looked at and why, tokens, exit codes."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.doctor.check import Check, Outcome, Report, failed, ok, skipped, warning
from rollcall_agent.doctor.examination import Examination, Ground
from rollcall_agent.doctor.peer import UntrustedError
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.programs import Ran
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Settings
from rollcall_agent.tls import trusting

from tests.unit.agent.doctor.fake_network import NOW, FakeNetwork, FakePrograms, fetched
from tests.unit.agent.fakes import FakeClock, ScriptedPlane, lost, refused, said

URL = "https://cp.example/prod"
ORDER = [
    "version", "configuration", "disk", "identity", "service",
    "url", "proxy", "dns", "tls", "reachability", "clock", "token",
]  # fmt: skip
ADMITS = {"admits": True, "environment": "env_1", "expires_at": "2026-09-22", "uses_left": 3}
TOKEN = Secret("rce_token")


def visit(
    tmp_path: Path,
    *answers: Answer | Exception,
    text: str | bytes = "",
    network: Any = None,
    proxies: Mapping[str, str] | None = None,
    token: Secret | AgentError = TOKEN,
    url: str | None = URL,
    token_was_given: bool = False,
    environment: Mapping[str, str] | None = None,
    programs: FakePrograms | None = None,
) -> tuple[dict[str, Check], ScriptedPlane, Report]:
    config = tmp_path / "agent.env"
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    config.chmod(0o600)
    plane = ScriptedPlane(*answers)

    def find(_: Settings) -> Secret:
        if isinstance(token, AgentError):
            raise token
        return token

    ground = Ground(
        platform="linux",
        environment=environment or {},
        proxies=proxies or {},
        network=lambda _: network or FakeNetwork(),
        clock=FakeClock(NOW),
        programs=programs or FakePrograms(),
        plane=lambda _settings, _url: nullcontext(plane),
        token=find,
        facts=lambda _: {"hostname": "host-1"},
    )
    report = Examination(ground, config, url, token_was_given).run()
    return {check.name: check for check in report.checks}, plane, report


def test_a_healthy_host_passes_all_checks_in_their_order(tmp_path: Path) -> None:
    found, plane, report = visit(tmp_path, said(200, ADMITS))
    assert [check.name for check in report.checks] == ORDER
    assert {check.outcome for check in report.checks} == {Outcome.OK, Outcome.SKIPPED}
    assert report.exit_code is ExitCode.OK
    assert found["token"].what == (
        "The token admits this host into env_1 until 2026-09-22, uses left: 3"
    )
    (call,) = plane.calls
    assert (call.method, call.path) == ("POST", "/api/v1/agent-enrollment/check")
    assert (call.bearer, call.body) == (TOKEN, {"hostname": "host-1"})


@pytest.mark.parametrize(
    ("changed", "blocker"),
    [
        ({"url": None}, "url"),
        ({"proxies": {"https": "http://"}}, "proxy"),
        ({"network": FakeNetwork(socket.gaierror(socket.EAI_NONAME, "x"))}, "dns"),
        ({"network": FakeNetwork(certificate=UntrustedError(20, None))}, "tls"),
        ({"network": FakeNetwork(answer=fetched(200, b"<html>"))}, "reachability"),
    ],
)
def test_behind_a_failure_nothing_is_shown_a_token_and_the_report_stays_whole(
    tmp_path: Path, changed: dict[str, Any], blocker: str
) -> None:
    found, plane, report = visit(tmp_path, **changed)
    assert [check.name for check in report.checks] == ORDER
    failures = [name for name, check in found.items() if check.outcome is Outcome.FAILED]
    assert failures == [blocker]
    assert found["token"].outcome is Outcome.SKIPPED
    assert blocker in found["token"].what
    assert plane.calls == []
    assert report.exit_code is ExitCode.DOCTOR


def test_an_untrusted_server_is_not_even_asked_for_the_time(tmp_path: Path) -> None:
    network = FakeNetwork(certificate=UntrustedError(10, None))
    visit(tmp_path, network=network)
    assert "fetch" not in {asked[0] for asked in network.asked}


def test_an_enrolled_host_makes_no_request_with_its_identity(tmp_path: Path) -> None:
    text = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
    found, plane, _ = visit(tmp_path, text=text)
    assert found["token"].what == "This host is enrolled and needs none"
    assert plane.calls == []


def test_an_enrolled_host_asks_about_a_token_that_is_given(tmp_path: Path) -> None:
    text = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
    found, _, _ = visit(tmp_path, said(200, ADMITS), text=text, token_was_given=True)
    assert found["token"].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (refused(410, "token_spent"), Outcome.FAILED, "mint a new enrollment token"),
        (refused(403, "hostname_mismatch"), Outcome.FAILED, "hostname_mismatch"),
        (refused(401, "credential_invalid"), Outcome.FAILED, "copied whole"),
        (refused(404, "route_not_found"), Outcome.SKIPPED, "cannot be asked"),
        (refused(503, "unavailable"), Outcome.FAILED, "wait"),
        (lost(), Outcome.FAILED, "no answer in time"),
        (said(200, {}), Outcome.FAILED, "not the control plane"),
    ],
)
def test_a_tokens_refusal_says_what_to_do(
    tmp_path: Path, answer: Answer | Exception, outcome: Outcome, words: str
) -> None:
    found, _, _ = visit(tmp_path, answer)
    assert found["token"].outcome is outcome
    assert words in found["token"].line()
    assert "rce_token" not in found["token"].line()


def test_a_spent_token_of_an_interrupted_enrollment_is_no_failure(tmp_path: Path) -> None:
    text = "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY=abc\n"
    found, _, _ = visit(tmp_path, refused(410, "token_spent"), text=text)
    assert found["token"].outcome is Outcome.WARNING
    assert "same token" in found["token"].next


def test_no_token_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    none = AgentError("No token. Next: have one minted.", ExitCode.NOT_ENROLLED)
    assert visit(tmp_path, token=none)[0]["token"].outcome is Outcome.SKIPPED
    unreadable = AgentError("Cannot read it. Next: look.", ExitCode.USAGE)
    check = visit(tmp_path, token=unreadable)[0]["token"]
    assert (check.outcome, check.what, check.next) == (Outcome.FAILED, "Cannot read it", "look")


def test_behind_a_proxy_of_another_kind_the_agents_own_way_is_tried(tmp_path: Path) -> None:
    found, plane, report = visit(
        tmp_path, said(200, ADMITS), proxies={"https": "https://proxy.example"}
    )
    assert [check.name for check in report.checks] == ORDER
    assert found["tls"].what == "Not looked at through such a proxy"
    assert len(plane.calls) == 1


def test_a_check_that_breaks_is_a_failure_that_shows_no_text(tmp_path: Path) -> None:
    class Broken(FakeNetwork):
        def resolve(self, host: str, port: int) -> list[str]:
            raise RuntimeError(f"rce_secret {host} {port}")

    found, _, report = visit(tmp_path, network=Broken())
    assert "RuntimeError" in found["url"].what
    assert "rce_secret" not in json.dumps(report.document())
    assert report.exit_code is ExitCode.DOCTOR


def test_warnings_are_no_failure_and_a_report_is_json() -> None:
    report = Report([ok("a", "fine"), warning("b", "hm\x1b[31m", "do"), skipped("c", "no")])
    assert report.exit_code is ExitCode.OK
    assert report.document() == {
        "ok": True,
        "checks": [
            {"name": "a", "outcome": "ok", "what": "fine", "next": ""},
            {"name": "b", "outcome": "warning", "what": "hm?[31m", "next": "do"},
            {"name": "c", "outcome": "skipped", "what": "no", "next": ""},
        ],
    }
    assert Report([failed("a", "bad", "do")]).exit_code == 9


IDENTITY = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n"
UNUSABLE = [
    f"ROLLCALL_API_BASE_URL={URL}\n{IDENTITY}".encode("utf-16"),
    f"{IDENTITY}ROLLCALL_API_BASE_URL='{URL}\n".encode(),
    f"{IDENTITY}ROLLCALL_TOKEN=\xff\n".encode("latin-1"),
    f"{IDENTITY}ROLLCALL_API_BASE_URL {URL}\n".encode(),
    f"{IDENTITY}ROLLCALL_STATE_FILE=/a\\\n".encode(),
    f"{IDENTITY}ROLLCALL_CA_BUNDLE=\u201c/ca.pem\u201d\n".encode(),
    IDENTITY.encode() + b"#" * 1024 * 1024,
]
FIRST_CONFIGURATION = "Not looked at: first see the line about configuration"


@pytest.mark.parametrize("text", UNUSABLE)
def test_of_an_env_file_that_cannot_be_used_nothing_is_concluded(
    tmp_path: Path, text: bytes
) -> None:
    found, plane, report = visit(tmp_path, text=text, url=None)
    assert [check.name for check in report.checks] == ORDER
    assert found["configuration"].outcome is Outcome.FAILED
    for name in ("identity", *ORDER[5:]):
        assert found[name] == skipped(name, FIRST_CONFIGURATION)
    assert plane.calls == []
    assert found["disk"].what.startswith(f"{tmp_path} can be written to")


def test_a_url_that_is_given_is_looked_at_beside_an_env_file_that_cannot_be_used(
    tmp_path: Path,
) -> None:
    found, plane, _ = visit(tmp_path, text=UNUSABLE[0])
    assert found["url"] == ok("url", f"The control plane is {URL}")
    assert found["clock"].outcome is Outcome.OK
    for name in ("identity", "token"):
        assert found[name] == skipped(name, FIRST_CONFIGURATION)
    assert plane.calls == []
    found, plane, _ = visit(tmp_path, said(200, ADMITS), text=UNUSABLE[0], token_was_given=True)
    assert found["token"].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("active", "enabled", "expected"),
    [
        ("active", "enabled", ok("service", "The service is active and enabled")),
        ("failed", "enabled", None),
        ("inactive", "enabled", skipped("service", FIRST_CONFIGURATION)),
        ("inactive", "not-found", skipped("service", FIRST_CONFIGURATION)),
    ],
)
def test_of_the_service_is_said_what_is_right_without_knowing_the_identity(
    tmp_path: Path, active: str, enabled: str, expected: Check | None
) -> None:
    programs = FakePrograms(
        {
            "systemctl is-active rollcall-agent": Ran(0, active),
            "systemctl is-enabled rollcall-agent": Ran(0, enabled),
        }
    )
    found, _, _ = visit(tmp_path, text=UNUSABLE[1], programs=programs)
    if expected is None:
        assert found["service"].what == "The service has failed"
    else:
        assert found["service"] == expected


def test_an_identity_that_cannot_be_used_leaves_the_report_whole(tmp_path: Path) -> None:
    text = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY='rca 1'\n"
    found, plane, report = visit(tmp_path, text=text)
    assert [check.name for check in report.checks] == ORDER
    failures = [name for name, check in found.items() if check.outcome is Outcome.FAILED]
    assert failures == ["identity"]
    assert found["token"] == skipped("token", "Not looked at: first see the line about identity")
    assert plane.calls == []


@pytest.mark.parametrize("in_file", [True, False])
def test_a_mistaken_switch_is_named_once_and_counts_as_not_set(
    tmp_path: Path, in_file: bool
) -> None:
    text = f"{IDENTITY}{'ROLLCALL_ALLOW_HTTP=maybe' if in_file else ''}\n"
    environment = {} if in_file else {"ROLLCALL_ALLOW_HTTP": "maybe"}
    found, _, report = visit(tmp_path, text=text, environment=environment)
    failures = [name for name, check in found.items() if check.outcome is Outcome.FAILED]
    assert failures == ["configuration"]
    assert "ROLLCALL_ALLOW_HTTP must be 1" in found["configuration"].what
    assert found["url"] == ok("url", f"The control plane is {URL}")
    assert [check.name for check in report.checks] == ORDER
    found, _, _ = visit(tmp_path, text=text, environment=environment, url="http://cp.example/prod")
    assert "plain http is for this host only" in found["url"].what


def test_a_fault_that_two_checks_find_is_told_by_the_first(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate")

    with pytest.raises(AgentError) as refused:
        trusting(bundle)
    network = FakeNetwork(certificate=refused.value)
    text = f"ROLLCALL_CA_BUNDLE={bundle}\n"
    found, _, report = visit(tmp_path, text=text, network=network)
    assert found["configuration"].outcome is Outcome.FAILED
    assert found["tls"] == skipped("tls", FIRST_CONFIGURATION)
    assert [check.name for check in report.checks] == ORDER
