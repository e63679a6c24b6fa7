from __future__ import annotations

import pytest

from tests.unit.cli.fakes import Machine, agent, listed, ok, problem

FIRST, SECOND = agent("web-1", number=1), agent("web-2", number=2)


def route(row: dict[str, str]) -> str:
    return f"GET /agents/{row['agent_id']}"


def test_each_change_is_told_until_all_are_online(machine: Machine) -> None:
    machine.plane.on(route(FIRST), ok({**FIRST, "status": "enrolled"}), ok(FIRST))
    machine.plane.on(route(SECOND), ok({**SECOND, "status": "offline"}))
    machine.plane.routes[route(SECOND)] += [ok({**SECOND, "status": "offline"}), ok(SECOND)]
    ran = machine.run("agent", "watch", FIRST["agent_id"], SECOND["agent_id"])
    assert ran.code == 0
    changes = [line.split("  ", 3)[1::2] for line in ran.out.splitlines()]
    assert changes == [
        ["web-1", "enrolled"],
        ["web-2", "offline"],
        ["web-1", "enrolled -> online"],
        ["web-2", "offline -> online"],
    ]


def test_json_is_a_line_with_the_agent_for_each_change(machine: Machine) -> None:
    machine.plane.on(route(FIRST), ok({**FIRST, "status": "late"}), ok(FIRST))
    ran = machine.run("agent", "watch", FIRST["agent_id"], "--json")
    assert [line.count("agent_id") for line in ran.out.splitlines()] == [1, 1]


def test_a_name_that_no_agent_has_yet_is_waited_for(machine: Machine) -> None:
    former = agent("web-1", "revoked", 9)
    machine.plane.on("GET /agents", listed("agents"), listed("agents", former))
    machine.plane.routes["GET /agents"].append(listed("agents", former, FIRST))
    ran = machine.run("agent", "watch", "web-1")
    assert (ran.code, FIRST["agent_id"] in ran.out) == (0, True)


def test_looking_becomes_slower_and_ends_in_time(machine: Machine) -> None:
    machine.plane.on(route(FIRST), ok({**FIRST, "status": "offline"}))
    ran = machine.run("agent", "watch", FIRST["agent_id"], "--timeout", "600")
    assert (ran.code, "web-1" in ran.out) == (6, True)
    assert max(machine.clock.sleeps) == pytest.approx(5)
    assert sum(machine.clock.sleeps) == pytest.approx(600)
    assert len(machine.plane.requests) < 150


def test_an_agent_that_is_revoked_will_never_come_online(machine: Machine) -> None:
    machine.plane.on(
        route(FIRST), ok(FIRST | {"status": "late"}), ok(FIRST | {"status": "revoked"})
    )
    assert machine.run("agent", "watch", FIRST["agent_id"]).code == 7


def test_an_unknown_id_is_not_waited_for(machine: Machine) -> None:
    machine.plane.on(route(FIRST), problem(404, "agent_not_found"))
    assert machine.run("agent", "watch", FIRST["agent_id"]).code == 4
