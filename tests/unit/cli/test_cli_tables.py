from __future__ import annotations

import json

import pytest

from tests.unit.cli.fakes import AGENT, Machine, agent, listed, ok

HOSTILE = "web\x1b[2J\u202egnp.[bold]\nroot  online"


def test_what_a_host_calls_itself_cannot_steer_a_terminal_or_forge_a_row(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    machine.plane.on("GET /agents", listed("agents", agent(HOSTILE)))
    machine.plane.on("GET /environments", listed("environments"))
    machine.plane.on(f"GET /agents/{AGENT}", ok(agent(HOSTILE)))
    for arguments in (("list",), ("show", AGENT), ("list", "--json"), ("show", AGENT, "--json")):
        for terminal in (False, True):
            ran = machine.run("agent", *arguments, terminal=terminal)
            assert ran.code == 0
            assert "\x1b[2J" not in ran.out
            assert "\u202e" not in ran.out
            assert not any(line.startswith("root") for line in ran.out.splitlines())
            assert "[bold]" in ran.out


def test_a_pipe_gets_plain_aligned_columns(machine: Machine) -> None:
    rows = [agent(labels={"rack": "7"}), agent("a-much-longer-name", "offline", 2)]
    machine.plane.on("GET /agents", listed("agents", *rows))
    machine.plane.on("GET /environments", listed("environments"))
    lines = machine.run("agent", "list").out.splitlines()
    place = lines[0].index("STATUS")
    assert [line[place:].split()[0] for line in lines] == ["STATUS", "online", "offline"]
    assert all(line == line.rstrip() for line in lines)
    assert "rack=7" in lines[1]


def test_json_is_exactly_what_the_api_answers(machine: Machine) -> None:
    row = agent(HOSTILE, novelty={"of": ["a", "newer", "api"]})
    machine.plane.on("GET /agents", listed("agents", row))
    ran = machine.run("agent", "list", "--json")
    assert ran.json() == {"agents": [row], "next_cursor": None}
    assert ran.out.isascii()
    assert len(machine.plane.requests) == 1


def test_an_empty_list_is_nothing_on_stdout(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents"))
    ran = machine.run("agent", "list")
    assert (ran.code, ran.out, ran.err) == (0, "", "No agents.\n")
    assert json.loads(machine.run("agent", "list", "--json").out)["agents"] == []


def test_a_narrow_terminal_leaves_ids_in_one_piece(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    machine.plane.on("GET /agents", listed("agents", agent("a-name-that-is-rather-long")))
    machine.plane.on("GET /environments", listed("environments"))
    out = machine.run("agent", "list", terminal=True).out
    assert agent()["agent_id"] in out
    assert "\x1b[32monline" in out
