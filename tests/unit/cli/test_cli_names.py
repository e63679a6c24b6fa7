from __future__ import annotations

import json

import pytest
from rollcall_cli.commands.agent import changed_labels
from rollcall_cli.exits import CliError
from rollcall_cli.options import seconds

from tests.unit.cli.fakes import ENVIRONMENT, PROJECT, Machine, agent, listed, ok, problem

OTHER_PROJECT = "prj_" + "2" * 20
OTHER_ENVIRONMENT = "env_" + "2" * 20
ENVIRONMENTS = [
    {"environment_id": ENVIRONMENT, "name": "prod", "project": PROJECT, "status": "active"},
    {"environment_id": OTHER_ENVIRONMENT, "name": "prod", "project": OTHER_PROJECT},
    {"environment_id": "env_" + "3" * 20, "name": "test", "project": PROJECT},
]


@pytest.fixture
def places(machine: Machine) -> Machine:
    """Two projects with an environment of the same name."""
    machine.plane.on("GET /environments", listed("environments", *ENVIRONMENTS))
    projects = [
        {"project_id": PROJECT, "name": "payments"},
        {"project_id": OTHER_PROJECT, "name": "search"},
    ]
    machine.plane.on("GET /projects", listed("projects", *projects))
    machine.plane.on("GET /agents", listed("agents"))
    return machine


def asked_environment(machine: Machine) -> str | None:
    found: str | None = machine.plane.asked("GET /agents")[-1].url.params.get("environment")
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("test", "env_" + "3" * 20),
        ("search/prod", OTHER_ENVIRONMENT),
        (f"{PROJECT}/prod", ENVIRONMENT),
        (ENVIRONMENT, ENVIRONMENT),
    ],
)
def test_an_environment_is_named_in_whichever_way_is_clear(
    places: Machine, written: str, meant: str
) -> None:
    assert places.run("agent", "list", "-e", written).code == 0
    assert asked_environment(places) == meant


def test_an_ambiguous_name_is_an_error_that_shows_the_ids(places: Machine) -> None:
    ran = places.run("agent", "list", "-e", "prod")
    assert (ran.code, places.plane.asked("GET /agents")) == (2, [])
    assert ENVIRONMENT in ran.err
    assert OTHER_ENVIRONMENT in ran.err


@pytest.mark.parametrize(
    "written",
    [
        "M\u00fcnchen",
        "Mu\u0308nchen",
        "M\u00dcNCHEN",
        "mu\u0308nchen",
        " M\u00fcnchen ",
        "\u00a0M\u00fcnchen",
    ],
)
@pytest.mark.parametrize("kept", ["M\u00fcnchen", "Mu\u0308nchen"])
def test_a_name_is_found_in_every_spelling(machine: Machine, kept: str, written: str) -> None:
    found = {"environment_id": ENVIRONMENT, "name": kept, "project": PROJECT}
    machine.plane.on("GET /environments", listed("environments", found))
    machine.plane.on("GET /agents", listed("agents"))
    assert machine.run("agent", "list", "-e", written).code == 0
    assert asked_environment(machine) == ENVIRONMENT


def test_of_two_spellings_the_one_that_was_written_is_meant(machine: Machine) -> None:
    rows = [
        {"environment_id": ENVIRONMENT, "name": "M\u00fcnchen", "project": PROJECT},
        {"environment_id": OTHER_ENVIRONMENT, "name": "Mu\u0308nchen", "project": PROJECT},
    ]
    machine.plane.on("GET /environments", listed("environments", *rows))
    machine.plane.on("GET /agents", listed("agents"))
    for row in rows:
        assert machine.run("agent", "list", "-e", row["name"]).code == 0
        assert asked_environment(machine) == row["environment_id"]
    assert machine.run("agent", "list", "-e", "M\u00dcNCHEN").code == 2


def test_what_only_looks_alike_is_not_found(machine: Machine) -> None:
    found = {"environment_id": ENVIRONMENT, "name": "\u0430dmin", "project": PROJECT}
    machine.plane.on("GET /environments", listed("environments", found))
    assert machine.run("agent", "list", "-e", "admin").code == 4


def test_an_agents_name_is_found_in_every_case(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents", agent("Web-1")))
    machine.plane.on(f"GET /agents/{agent()['agent_id']}", ok(agent("Web-1")))
    assert machine.run("agent", "show", "WEB-1", "--json").json()["name"] == "Web-1"


def test_an_unknown_name_is_not_found(places: Machine) -> None:
    ran = places.run("agent", "list", "-e", "staging")
    assert (ran.code, "staging" in ran.err) == (4, True)


def test_an_id_needs_no_lookup(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents"))
    assert machine.run("agent", "list", "-e", ENVIRONMENT, "--json").code == 0
    assert len(machine.plane.requests) == 1


def test_a_table_shows_ids_where_names_cannot_be_had(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents", agent(), agent("web-2", number=2)))
    machine.plane.on("GET /environments", problem(403, "scope_missing"))
    ran = machine.run("agent", "list")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count(ENVIRONMENT) == 2
    assert len(machine.plane.asked("GET /environments")) == 1


def test_an_agents_name_is_the_whole_name_and_that_of_the_living_one(machine: Machine) -> None:
    rows = [
        agent("web-1", "revoked", 1),
        agent("web-1", "online", 2),
        agent("web-10", "online", 3),
    ]
    machine.plane.on("GET /agents", listed("agents", *rows))
    machine.plane.on(f"GET /agents/{rows[1]['agent_id']}", ok(rows[1]))
    ran = machine.run("agent", "show", "web-1", "--json")
    assert ran.json()["agent_id"] == rows[1]["agent_id"]


def test_two_living_agents_of_one_name_are_ambiguous(machine: Machine) -> None:
    rows = [agent(number=1), agent(number=2, environment=OTHER_ENVIRONMENT)]
    machine.plane.on("GET /agents", listed("agents", *rows))
    ran = machine.run("agent", "revoke", "web-1", "--yes")
    assert (ran.code, "--environment" in ran.err) == (2, True)


def test_labels_are_added_to_those_that_are_there(machine: Machine) -> None:
    before = agent(labels={"tier": "web", "rack": "7"})
    route = f"/agents/{before['agent_id']}"
    machine.plane.on(f"GET {route}", ok(before)).on(f"PATCH {route}", ok(before))
    assert machine.run("agent", "label", before["agent_id"], "rack-", "zone=a=b").code == 0
    body = json.loads(machine.plane.asked(f"PATCH {route}")[0].content)
    assert body == {"labels": {"tier": "web", "zone": "a=b"}}


@pytest.mark.parametrize("change", ["=x", "rack", "-", ""])
def test_a_label_that_is_neither_set_nor_taken_away_is_refused(change: str) -> None:
    with pytest.raises(CliError):
        changed_labels({}, [change])


@pytest.mark.parametrize(
    ("text", "length"), [("90", 90), ("15m", 900), ("1h", 3600), ("2d", 172800)]
)
def test_a_length_of_time_is_read(text: str, length: int) -> None:
    assert seconds(text, "--ttl") == length


@pytest.mark.parametrize("text", ["", "1y", "-1h", "1.5h", "h", "9" * 12])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(CliError):
        seconds(text, "--ttl")


def test_an_agents_name_is_one_question_about_the_whole_name(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents", agent()))
    machine.plane.on(f"GET /agents/{agent()['agent_id']}", ok(agent()))
    assert machine.run("agent", "show", "web-1").code == 0
    (asked,) = machine.plane.asked("GET /agents")
    assert asked.url.params["exact_name"] == "web-1"
    assert "name" not in asked.url.params


def test_a_control_plane_that_does_not_know_that_question_is_asked_for_beginnings(
    machine: Machine,
) -> None:
    unknown = problem(
        400, "query_invalid", errors=[{"path": "exact_name", "message": "unknown parameter"}]
    )
    machine.plane.on("GET /agents", unknown, listed("agents", agent("web-10"), agent(number=2)))
    machine.plane.on(f"GET /agents/agt_{2:020}", ok(agent(number=2)))
    assert machine.run("agent", "show", "web-1", "--json").json()["agent_id"].endswith("2")
    machine.plane.on("GET /agents", problem(400, "query_invalid", errors=[]))
    assert machine.run("agent", "show", "web-1").code == 1
