from __future__ import annotations

import httpx
import pytest

from tests.unit.cli.fakes import AGENT, KEY, URL, Machine, agent, listed, ok, problem, streamed

SHOW = f"GET /agents/{AGENT}"
CREATE = "POST /organization-keys"
CREATING = ("key", "create", "ci", "--scope", "agents:read")


def made() -> httpx.Response:
    return ok({"organization_key_id": "key_1", "organization_key": "rco_new"}, 201)


def test_the_credential_goes_into_its_header_below_the_stage_and_nowhere_else(
    machine: Machine,
) -> None:
    machine.plane.on(SHOW, ok(agent()))
    ran = machine.run("agent", "show", AGENT)
    request = machine.plane.requests[0]
    assert ran.code == 0
    assert str(request.url) == f"{URL}/api/v1/agents/{AGENT}"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("rollcall-cli/")
    assert KEY not in ran.out + ran.err


def test_an_answer_that_asks_to_wait_is_waited_for(machine: Machine) -> None:
    busy = problem(503, "contention", {"Retry-After": "3"})
    many = problem(429, "too_many_requests", {"Retry-After": "2"})
    machine.plane.on(SHOW, busy, many, ok(agent()))
    assert machine.run("agent", "show", AGENT).code == 0
    first, second = machine.clock.sleeps
    assert 3 <= first <= 3.5
    assert 2 <= second <= 3


def test_waiting_is_bounded(machine: Machine) -> None:
    machine.plane.on(SHOW, problem(503, "unavailable"))
    ran = machine.run("--patience", "10", "agent", "show", AGENT)
    assert ran.code == 5
    assert sum(machine.clock.sleeps) <= 10.001
    assert len(machine.plane.requests) > 3


def test_a_wait_that_is_longer_than_the_patience_is_not_begun(machine: Machine) -> None:
    machine.plane.on(SHOW, problem(429, "too_many_requests", {"Retry-After": "3000"}))
    ran = machine.run("agent", "show", AGENT)
    assert (ran.code, machine.clock.sleeps) == (5, [])
    assert "3000 s" in ran.err


def test_what_may_be_done_twice_is_repeated_after_a_lost_answer(machine: Machine) -> None:
    machine.plane.on(SHOW, httpx.ReadTimeout("lost"), ok(agent()))
    assert machine.run("agent", "show", AGENT).code == 0


@pytest.mark.parametrize(
    "failure",
    [httpx.ReadTimeout("lost"), httpx.ReadError("lost"), problem(503, "internal_error")],
)
def test_what_makes_something_new_is_not_repeated_after_it_may_have_been_made(
    machine: Machine, failure: object
) -> None:
    machine.plane.on(CREATE, failure, made())
    ran = machine.run(*CREATING)
    assert (ran.code, len(machine.plane.requests)) == (5, 1)
    assert "not known" in ran.err


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        problem(429, "too_many_requests"),
        problem(503, "contention", {"Retry-After": "1"}),
    ],
)
def test_what_makes_something_new_is_repeated_where_it_surely_was_not_made(
    machine: Machine, failure: object
) -> None:
    machine.plane.on(CREATE, failure, made())
    ran = machine.run(*CREATING)
    assert (ran.code, ran.out) == (0, "rco_new\n")


def test_no_redirect_is_followed(machine: Machine) -> None:
    machine.plane.on(SHOW, streamed(302, b"", {"Location": "https://other.example/"}))
    ran = machine.run("agent", "show", AGENT)
    assert (ran.code, len(machine.plane.requests)) == (5, 1)
    assert "check the URL" in ran.err


def test_a_page_of_a_proxy_is_not_taken_for_the_control_plane(machine: Machine) -> None:
    page = streamed(401, b'{"code": "credential_invalid"}', {"Content-Type": "application/json"})
    machine.plane.on(SHOW, page)
    ran = machine.run("agent", "show", AGENT)
    assert (ran.code, "not the control plane's application" in ran.err) == (5, True)


def test_an_endless_answer_is_cut_off(machine: Machine) -> None:
    machine.plane.on(SHOW, streamed(200, b" " * (9 * 1024 * 1024), {}))
    ran = machine.run("--patience", "0", "agent", "show", AGENT)
    assert (ran.code, "larger" in ran.err) == (5, True)


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "validation_failed", 1),
        (401, "credential_invalid", 3),
        (401, "wrong_credential_family", 3),
        (403, "scope_missing", 1),
        (404, "agent_not_found", 4),
        (404, "route_not_found", 1),
        (409, "name_taken", 1),
        (410, "token_spent", 1),
    ],
)
def test_a_refusal_has_its_exit_code_and_says_what_to_do(
    machine: Machine, status: int, code: str, exit_code: int
) -> None:
    machine.plane.on(SHOW, problem(status, code))
    ran = machine.run("agent", "show", AGENT)
    assert (ran.code, ran.out) == (exit_code, "")
    assert f"It is {code}. [{status} {code}]" in ran.err
    assert code == "token_spent" or "Next: " in ran.err


def test_a_validation_names_the_members(machine: Machine) -> None:
    errors = [{"path": "name", "message": "is too long"}]
    machine.plane.on(SHOW, problem(400, "validation_failed", errors=errors))
    assert "name: is too long." in machine.run("agent", "show", AGENT).err


def test_a_list_is_read_page_by_page_as_far_as_it_is_wanted(machine: Machine) -> None:
    pages = [
        listed("agents", *[agent(number=n) for n in range(100)], cursor="c1"),
        listed("agents", *[agent(number=n) for n in range(100, 150)], cursor="c2"),
    ]
    machine.plane.on("GET /agents", *pages)
    ran = machine.run("agent", "list", "--limit", "150", "--json")
    asked = [request.url.params for request in machine.plane.asked("GET /agents")]
    assert [(params["limit"], params.get("cursor")) for params in asked] == [
        ("100", None),
        ("50", "c1"),
    ]
    assert len(ran.json()["agents"]) == 150
    assert ran.json()["next_cursor"] == "c2"


def test_a_list_says_that_there_is_more(machine: Machine) -> None:
    machine.plane.on("GET /agents", listed("agents", agent(), cursor="c1"))
    ran = machine.run("agent", "list", "--limit", "1")
    assert (ran.code, "There are more" in ran.err) == (0, True)


def test_a_defect_is_told_from_a_refusal(machine: Machine) -> None:
    machine.plane.on(SHOW, RuntimeError("a defect"))
    ran = machine.run("agent", "show", AGENT)
    assert ran.code == 70


def test_an_id_cannot_leave_its_place_in_the_path(machine: Machine) -> None:
    ran = machine.run("token", "show", "../agents")
    assert (ran.code, machine.plane.requests) == (2, [])


@pytest.mark.parametrize(
    ("detail", "errors", "said"),
    [
        ("It is wrong.", [{"path": "name", "message": "one of an operator."}],
         "It is wrong. name: one of an operator. [400"),
        ("It is wrong", [{"path": "", "message": "too long"}], "It is wrong. too long. [400"),
        ("", [{"message": "too long"}], "error: too long. [400"),
        ("It is wrong.", [{}], "It is wrong. not valid. [400"),
    ],
)  # fmt: skip
def test_a_sentence_of_the_control_plane_ends_with_one_full_stop(
    machine: Machine, detail: str, errors: list[dict[str, str]], said: str
) -> None:
    machine.plane.on(SHOW, problem(400, "validation_failed", detail=detail, errors=errors))
    err = machine.run("agent", "show", AGENT).err
    assert said in err
    assert ".." not in err
