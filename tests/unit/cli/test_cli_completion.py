from __future__ import annotations

import threading
import time

import httpx
import pytest
import typer
from rollcall_cli import completion
from rollcall_cli.completion import LONGEST_SECONDS, complete_agent, complete_environment
from rollcall_cli.surroundings import Surroundings

from tests.unit.cli.fakes import KEY, URL, Machine, agent, listed, problem


def context(machine: Machine, **environ: str) -> typer.Context:
    around = Surroundings(
        environ={"XDG_CONFIG_HOME": str(machine.home), **(environ or machine.environ)},
        clock=machine.clock,
        transport=httpx.MockTransport(machine.plane.serve),
    )

    class Given:
        obj = around

    return Given()  # type: ignore[return-value]


def test_names_that_begin_so_are_offered(machine: Machine) -> None:
    rows = [agent("web-1"), agent("web-2", "revoked", 2), agent("web-3", number=3)]
    machine.plane.on("GET /agents", listed("agents", *rows))
    assert complete_agent(context(machine), "web") == ["web-1", "web-3"]
    assert machine.plane.requests[0].url.params["name"] == "web"
    names = [{"name": "prod"}, {"name": "test"}]
    machine.plane.on("GET /environments", listed("environments", *names))
    assert complete_environment(context(machine), "pr") == ["prod"]


@pytest.mark.filterwarnings("error")  # of the thread: pytest makes a warning of what it raises
@pytest.mark.parametrize(
    "reply",
    [
        problem(401, "credential_invalid"),
        problem(503, "unavailable"),
        httpx.ConnectError("no network"),
        RuntimeError("a defect"),
        listed("agents", {"agent_id": "without a name"}),
    ],
)
def test_whatever_goes_wrong_is_silence(
    machine: Machine, reply: object, capfd: pytest.CaptureFixture[str]
) -> None:
    machine.plane.on("GET /agents", reply)
    assert complete_agent(context(machine), "") == []
    assert machine.clock.sleeps == []
    assert capfd.readouterr() == ("", "")


def test_somebody_who_is_not_logged_in_is_offered_nothing(machine: Machine) -> None:
    assert complete_agent(context(machine, ROLLCALL_API_BASE_URL=URL), "") == []
    assert complete_agent(context(machine, ROLLCALL_CREDENTIAL=KEY), "") == []
    assert machine.plane.requests == []


def test_a_control_plane_that_does_not_answer_holds_nobody_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, done = threading.Event(), threading.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        asked.set()
        done.wait(30)
        return listed("agents")

    monkeypatch.setattr(completion, "LONGEST_SECONDS", 0.2)
    machine.plane.on("GET /agents", hang)
    began = time.monotonic()
    try:
        assert complete_agent(context(machine), "") == []
        assert time.monotonic() - began < 5
        assert asked.is_set()
    finally:
        done.set()
    assert LONGEST_SECONDS <= 2
