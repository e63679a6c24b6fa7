"""Quarantine, release and rotation, as an operator asks for them."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.fakes import AGENT, Machine, agent, ok, problem

COPIES = [
    {"instance": "0" * 16, "first_seen_at": None, "last_seen_at": "2026-01-01T00:00:00.000Z",
     "source_address": "192.0.2.1\x1b[2J"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "route", "body"),
    [
        (("quarantine", AGENT), "quarantine", {}),
        (("quarantine", AGENT, "--note", "why"), "quarantine", {"note": "why"}),
        (("release", AGENT, "keep"), "release", {"decision": "keep"}),
        (("release", AGENT, "split", "--instance", "0" * 16), "release",
         {"decision": "split", "instance": "0" * 16}),
    ],
)  # fmt: skip
def test_what_is_asked_for(
    machine: Machine, words: tuple[str, ...], route: str, body: dict[str, str]
) -> None:
    machine.plane.on(f"POST /agents/{AGENT}/{route}", ok(agent("web-1")))
    ran = machine.run("agent", *words, "--yes")
    assert ran.code == 0, ran.err
    (request,) = machine.plane.asked(f"POST /agents/{AGENT}/{route}")
    assert json.loads(request.content) == body


def test_a_rotation_needs_no_confirmation(machine: Machine) -> None:
    route = f"POST /agents/{AGENT}/runtime-key/request-rotation"
    machine.plane.on(route, ok(agent("web-1")))
    ran = machine.run("agent", "rotate-key", AGENT)
    assert (ran.code, len(machine.plane.asked(route))) == (0, 1)
    assert "next beat" in ran.out


def test_who_is_asked_sees_the_copies_first(machine: Machine) -> None:
    shown = {**agent("web-1"), "quarantine": {"copies": COPIES}}
    machine.plane.on(f"GET /agents/{AGENT}", ok(shown))
    ran = machine.run("agent", "release", AGENT, "split")
    assert "0" * 16 in ran.err
    assert "\x1b" not in ran.err
    assert machine.plane.asked(f"POST /agents/{AGENT}/release") == []


@pytest.mark.parametrize("words", [("both",), ("keep", "--instance", "0" * 16)])
def test_a_decision_that_is_none_is_refused(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine.run("agent", "release", AGENT, *words, "--yes").code == 2
    assert machine.plane.requests == []


BY_OPERATOR = {
    "reason": "operator",
    "since": "2026-01-01T00:00:00.000Z",
    "note": "being looked at",
    "copies": [],
}


def test_a_quarantine_by_an_operator_is_no_finding_of_copies(machine: Machine) -> None:
    shown = agent("web-1", "quarantined", agent_id=AGENT, quarantine=BY_OPERATOR)
    machine.plane.on(f"GET /agents/{AGENT}", ok(shown))
    expected = "by an operator since 2026-01-01 00:00:00Z (being looked at)"
    assert expected in machine.run("agent", "show", AGENT).out
    assert machine.run("agent", "show", AGENT, "--json").json() == shown
    watched = machine.run("agent", "watch", AGENT, "--timeout", "1")
    assert (watched.code, f"quarantined {expected}" in watched.out) == (6, True)
    asked = machine.run("agent", "release", AGENT, "keep")
    assert f"web-1 is quarantined {expected}." in asked.err
    for ran in (watched, asked):
        assert not any(word in ran.out + ran.err for word in ("clone", "copies", "Copy"))


def test_two_copies_are_said_to_be_the_reason(machine: Machine) -> None:
    quarantine = {**BY_OPERATOR, "reason": "clone", "note": None, "copies": COPIES}
    machine.plane.on(f"GET /agents/{AGENT}", ok(agent("web-1", quarantine=quarantine)))
    out = machine.run("agent", "show", AGENT).out
    assert "because two copies of it were seen since 2026-01-01" in out
    assert "192.0.2.1" in out


def test_no_copy_is_split_off_where_none_was_seen(machine: Machine) -> None:
    shown = agent("web-1", "quarantined", agent_id=AGENT, quarantine=BY_OPERATOR)
    machine.plane.on(f"GET /agents/{AGENT}", ok(shown))
    ran = machine.run("agent", "release", AGENT, "split")
    assert (ran.code, machine.plane.asked(f"POST /agents/{AGENT}/release")) == (2, [])
    assert "release it with keep" in ran.err
    refused = problem(409, "not_a_clone")
    machine.plane.on(f"POST /agents/{AGENT}/release", refused)
    assert "release it with keep" in machine.run("agent", "release", AGENT, "split", "--yes").err
