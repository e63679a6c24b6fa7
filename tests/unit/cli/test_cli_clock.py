"""A clock that is wrong is said to be, once a command and by how much."""

from __future__ import annotations

import ssl
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from rollcall_cli.answers import measure_skew

from tests.unit.cli.fakes import Machine, agent, listed, ok, problem
from tests.unit.cli.test_cli_login import LOGGING_IN, LOGIN, ORGANIZATION, SESSION, opened

NOW = 1_800_000_000.0


def dated(reply: httpx.Response, ahead: float) -> httpx.Response:
    """An answer of a control plane whose clock is that much ahead."""
    reply.headers["Date"] = formatdate(NOW + ahead, usegmt=True)
    return reply


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (75, "75 seconds behind the control plane's"),
        (840, "14 minutes behind the control plane's"),
        (-840, "14 minutes ahead of the control plane's"),
        (3 * 3600, "3 hours behind"),
        (-400 * 86_400, "400 days ahead of"),
        (NOW * -1, "20833 days ahead of"),
    ],
)
def test_a_clock_that_is_wrong_is_told_with_its_skew(
    machine: Machine, ahead: float, said: str
) -> None:
    machine.plane.on("GET /audit-records", dated(listed("audit_records"), ahead))
    ran = machine.run("audit", "--since", "1h")
    assert (ran.code, ran.out) == (0, "")
    assert f"warning: this machine's clock is {said}" in ran.err
    assert "Next: set the clock." in ran.err


@pytest.mark.parametrize("ahead", [0, 1, 59, -30, -59])
def test_a_clock_that_is_about_right_is_not_mentioned(machine: Machine, ahead: float) -> None:
    machine.plane.on("GET /agents", dated(listed("agents", agent()), ahead))
    assert machine.run("agent", "list", "--json").err == ""


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT", "0"])
def test_a_date_that_is_none_says_nothing(machine: Machine, date: str) -> None:
    reply = listed("agents", agent())
    reply.headers["Date"] = date
    machine.plane.on("GET /agents", reply)
    assert machine.run("agent", "list", "--json").err == ""


def test_it_is_said_once_a_command(machine: Machine) -> None:
    row = agent(status="offline")
    show = f"GET /agents/{row['agent_id']}"
    machine.plane.on(show, *[dated(ok(row), 600) for _ in range(5)], dated(ok(agent()), 600))
    ran = machine.run("agent", "watch", row["agent_id"])
    assert (ran.code, ran.err.count("warning: ")) == (0, 1)
    assert machine.run("agent", "show", row["agent_id"]).err.count("warning: ") == 1


def test_it_is_said_where_a_request_is_refused_and_at_a_login(machine: Machine) -> None:
    refused: Any = problem(401, "credential_expired")
    machine.plane.on("GET /me", dated(refused, -600))
    ran = machine.run("whoami")
    assert (ran.code, ran.err.count("10 minutes ahead of")) == (3, 1)
    machine.environ.clear()
    machine.plane.on(LOGIN, dated(opened(SESSION, ORGANIZATION), 600))
    organizations = listed("organizations", {"organization_id": ORGANIZATION, "name": "Ours"})
    machine.plane.on("GET /organizations", dated(organizations, 600))
    ran = machine.run(*LOGGING_IN, "--organization", "Ours", stdin="x")
    assert (ran.code, ran.err.count("warning: ")) == (0, 1)


def test_what_a_slow_answer_takes_is_no_skew() -> None:
    date = formatdate(NOW + 10, usegmt=True)
    assert measure_skew(date, NOW, NOW + 120) == 0
    assert measure_skew(date, NOW - 5, NOW) == 10
    assert measure_skew(date, NOW + 110, NOW + 111) == -99


@pytest.mark.parametrize(
    ("verify_code", "said"),
    [
        (9, "not valid yet by this machine's clock"),
        (10, "has expired by this machine's clock"),
        (18, "SSL_CERT_FILE"),
        (20, "SSL_CERT_FILE"),
        (62, "another host name"),
        (1, "was not accepted"),
    ],
)
def test_a_certificate_is_refused_in_words_and_at_once(
    machine: Machine, verify_code: int, said: str
) -> None:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_code = verify_code
    failure = httpx.ConnectError("tls")
    failure.__cause__ = cause
    machine.plane.on("GET /me", failure)
    ran = machine.run("whoami")
    assert (ran.code, machine.clock.sleeps) == (5, [])
    assert said in ran.err
