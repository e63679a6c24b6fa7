"""Machines, facts, endings and environments, as an operator steers them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.fakes import AGENT, ENVIRONMENT, Machine, agent, listed, ok, problem, token

FORMER = "agt_" + "2" * 20
FACTS = {
    "hostname": "web\x1b[2J",
    "cpu": {"count": 4},
    "interfaces": [{"name": "eth0", "up": True, "addresses": ["10.0.0.7"]}],
    "empty": {},
}
ANSWER = {
    "agent_id": AGENT,
    "facts": FACTS,
    "facts_sha256": "0" * 64,
    "received_at": "2026-01-01T00:00:00.000Z",
    "changes": [
        {"at": "2026-01-01T00:00:00.000Z", "path": "cpu.count", "before": 2, "after": 4},
    ],
}


def sent(machine: Machine, route: str) -> Any:
    (request,) = machine.plane.asked(route)
    return json.loads(request.content)


def test_facts_are_lines_that_are_safe_to_print(machine: Machine) -> None:
    machine.plane.on(f"GET /agents/{AGENT}/facts", ok(ANSWER))
    ran = machine.run("agent", "facts", AGENT)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    lines = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert (lines["cpu.count"], lines["interfaces[eth0].addresses"]) == ("4", "10.0.0.7")
    assert machine.run("agent", "facts", AGENT, "--json").json() == ANSWER


def test_changes_of_facts_are_a_table(machine: Machine) -> None:
    machine.plane.on(f"GET /agents/{AGENT}/facts", ok(ANSWER))
    ran = machine.run("agent", "facts", AGENT, "--changes")
    assert ran.out.splitlines()[1].split() == ["2026-01-01", "00:00:00Z", "cpu.count", "2", "4"]


def test_an_agent_without_facts_is_told(machine: Machine) -> None:
    machine.plane.on(f"GET /agents/{AGENT}/facts", ok({**ANSWER, "facts": None}))
    ran = machine.run("agent", "facts", AGENT)
    assert (ran.code, ran.out) == (0, "")
    assert "no facts" in ran.err


def test_a_replacement_is_confirmed_by_names(machine: Machine) -> None:
    route = f"POST /agents/{agent()['agent_id']}/replace"
    machine.plane.on(route, ok(agent("db-1")))

    def by_name(request: Any) -> Any:
        name = request.url.params["exact_name"]
        return listed(
            "agents", agent("new" if name == "new" else "old", number=1 + (name != "new"))
        )

    machine.plane.on("GET /agents", by_name)
    asked = ("agent", "replace", "new", "--former", "old", "--note", "disk")
    assert machine.run(*asked, stdin="n\n", terminal=True).code == 2
    assert machine.plane.asked(route) == []
    ran = machine.run(*asked, "--yes")
    assert ran.code == 0
    assert sent(machine, route) == {"former": f"agt_{2:020}", "note": "disk"}
    assert "is db-1 now" in ran.out


def test_a_refused_replacement_says_why(machine: Machine) -> None:
    machine.plane.on(f"POST /agents/{AGENT}/replace", problem(409, "not_same_machine"))
    ran = machine.run("agent", "replace", AGENT, "--former", FORMER, "--yes")
    assert (ran.code, "not_same_machine" in ran.err) == (1, True)


def test_decommissioning_is_asked_about(machine: Machine) -> None:
    route = f"POST /agents/{AGENT}/decommission"
    machine.plane.on(route, ok(agent(status="revoked")))
    assert machine.run("agent", "decommission", AGENT, stdin="n\n", terminal=True).code == 2
    assert machine.plane.requests == []
    ran = machine.run("agent", "decommission", AGENT, "--note", "scrapped", "--yes")
    assert (ran.code, ran.out) == (0, f"{AGENT} is decommissioned.\n")
    assert sent(machine, route) == {"note": "scrapped"}


def test_a_list_says_which_agents_share_a_machine(machine: Machine) -> None:
    one, other, third = (agent(f"web-{n}", number=n) for n in (1, 2, 3))
    one["same_machine"], other["same_machine"] = [other["agent_id"]], [one["agent_id"]]
    third["same_machine"] = ["agt_elsewhere"]
    machine.plane.on("GET /agents", listed("agents", one, other, third))
    machine.plane.on("GET /environments", problem(403, "scope_missing"))
    ran = machine.run("agent", "list")
    assert ran.code == 0
    assert "web-1 says that it is on the same machine as web-2." in ran.err
    assert "web-2 says" not in ran.err  # said once
    assert "web-3 says that it is on the same machine as agt_elsewhere." in ran.err
    assert machine.run("agent", "list", "--json").err == ""


def test_a_list_says_which_agents_are_of_a_crowded_machine(machine: Machine) -> None:
    crowded = agent("web-1", number=1, same_machine=[], machine_crowded=True)
    other = agent("web-2", number=2, same_machine=[], machine_crowded=False)
    machine.plane.on("GET /agents", listed("agents", crowded, other))
    machine.plane.on("GET /environments", problem(403, "scope_missing"))
    ran = machine.run("agent", "list")
    assert ran.code == 0
    assert "Too many agents have the machine id of web-1:" in ran.err
    assert machine.run("agent", "list", "--json").err == ""


def test_a_list_of_single_agents_says_nothing(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents", agent(same_machine=[]), agent(number=2)))
    machine.plane.on("GET /environments", problem(403, "scope_missing"))
    assert machine.run("agent", "list").err == ""


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (("--interval", "5m"), {"heartbeat_interval_seconds": 300}),
        (("--slowdown", "10m"), {"slowdown_seconds": 600}),
        (("--slowdown", "off"), {"slowdown_seconds": None}),
        (
            ("--agent-version", "1.2.3", "--percent", "0"),
            {"agent_version": "1.2.3", "agent_rollout_percent": 0},
        ),
        (("--agent-version", "off"), {"agent_version": None}),
    ],
)
def test_an_environment_is_steered(
    machine: Machine, options: tuple[str, ...], body: dict[str, Any]
) -> None:
    route = f"PATCH /environments/{ENVIRONMENT}"
    machine.plane.on(route, ok({"environment_id": ENVIRONMENT, **body}))
    ran = machine.run("environment", "set", ENVIRONMENT, *options)
    assert ran.code == 0
    assert sent(machine, route) == body
    for name in body:
        assert f"{name}=" in ran.out


@pytest.mark.parametrize(("interval", "cost"), [("1", "12,600"), ("2s", "6,300"), ("9", "1,400")])
def test_a_costly_interval_is_confirmed_with_what_it_costs(
    machine: Machine, interval: str, cost: str
) -> None:
    route = f"PATCH /environments/{ENVIRONMENT}"
    machine.plane.on(route, ok({"environment_id": ENVIRONMENT}))
    ran = machine.run("environment", "set", ENVIRONMENT, "--interval", interval)
    assert ran.code == 2
    assert f"{cost} USD a month for 1,000 agents" in ran.err
    assert machine.plane.requests == []
    assert machine.run("environment", "set", ENVIRONMENT, "--interval", interval, "--yes").code == 0


def test_an_interval_that_is_not_costly_is_set_without_a_question(machine: Machine) -> None:
    machine.plane.on(f"PATCH /environments/{ENVIRONMENT}", ok({"environment_id": ENVIRONMENT}))
    assert machine.run("environment", "set", ENVIRONMENT, "--interval", "10").code == 0


def test_an_environment_is_not_steered_nowhere(machine: Machine) -> None:
    for options in ((), ("--slowdown", "soon"), ("--percent", "101")):
        assert machine.run("environment", "set", ENVIRONMENT, *options).code == 2
    assert machine.plane.requests == []


def test_an_environment_is_shown(machine: Machine) -> None:
    machine.plane.on(f"GET /environments/{ENVIRONMENT}", ok({"slowdown_seconds": None}))
    ran = machine.run("environment", "show", ENVIRONMENT)
    assert (ran.code, ran.out) == (0, "slowdown_seconds  -\n")


def test_a_token_may_let_a_host_take_its_former_place(machine: Machine) -> None:
    route = "POST /agent-enrollment/tokens"
    machine.plane.on(route, ok(token(token="rce_secret"), 201))
    mint = ("token", "mint", ENVIRONMENT)
    assert machine.run(*mint, "--replace-machine", "--replace-offline", "30m").code == 0
    body = sent(machine, route)
    assert (body["replace_machine"], body["replace_offline_seconds"]) == (True, 1_800)
    assert machine.run(*mint, "--replace-offline", "30m").code == 2
    assert len(machine.plane.requests) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ttl", "5"], "--ttl is a length of time from 1m to 30d."),
        (["--ttl", "400d"], "--ttl is a length of time from 1m to 30d."),
        (["--timeout", "4"], "--timeout goes with --watch."),
        (["--output", "-"], "--output names a file"),
    ],
)
def test_a_mint_that_cannot_be_meant_is_refused_before_anything_is_sent(
    machine: Machine, options: list[str], said: str
) -> None:
    ran = machine.run("token", "mint", ENVIRONMENT, *options)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert machine.plane.requests == []


def test_a_mint_says_how_a_host_without_an_agent_gets_one(machine: Machine) -> None:
    fingerprint = "ab" * 32
    machine.plane.on(
        "POST /agent-enrollment/tokens",
        ok(token(token="rce_secret", agent_release_key_sha256=fingerprint), 201),
    )
    ran = machine.run("token", "mint", ENVIRONMENT)
    assert ran.out == "rce_secret\n"
    assert "curl -fsSL https://cp.example/prod/install/install.sh | sudo bash" in ran.err
    assert fingerprint in ran.err
    assert "rce_" not in ran.err
