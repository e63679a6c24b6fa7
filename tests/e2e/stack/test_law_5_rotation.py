"""Law 5: a real agent trades its key for a new one, and no crash strands it."""

from __future__ import annotations

import signal

import pytest

from infra.local_stack import LocalStack
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.agent_faults.proxy import Fault, FaultProxy
from tests.e2e.stack.calls import Calls, Host, until
from tests.e2e.stack.conftest import Start

KEY, PREVIOUS_KEY = "ROLLCALL_AGENT_API_KEY", "ROLLCALL_AGENT_PREVIOUS_API_KEY"


def host_of(agent: AgentProcess) -> Host:
    """The identity that the agent's env file holds at the moment."""
    settings = agent.settings()
    return Host(settings["ROLLCALL_AGENT_ID"], settings[KEY])


def ask_for_a_rotation(calls: Calls, host: Host) -> None:
    """Ask as an operator."""
    answer = calls.operator("POST", host.path("runtime-key/request-rotation"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["key_rotation"] == "requested"


def has_settled(agent: AgentProcess, former: str) -> bool:
    """Whether another key than the former one is in use, and no other one is kept."""
    settings = agent.settings()
    return settings[KEY] != former and PREVIOUS_KEY not in settings


def assert_superseded(calls: Calls, agent_id: str, key: str) -> None:
    refused = calls.beat(Host(agent_id, key))
    assert (refused.status_code, refused.json()["code"]) == (401, "key_superseded")


def test_a_rotation_that_an_operator_asks_for_ends_the_old_key(
    calls: Calls, agent: AgentProcess, start: Start, secrets_seen: set[str]
) -> None:
    assert agent.enroll(calls.mint().secret).returncode == 0
    host = host_of(agent)
    start(agent, "run")
    until(lambda: calls.status_of(host) == "online", "the agent comes online")
    ask_for_a_rotation(calls, host)
    until(lambda: has_settled(agent, host.key), "the agent uses a new key alone")
    secrets_seen.add(host_of(agent).key)
    assert_superseded(calls, host.id, host.key)
    shown = calls.operator("GET", f"/agents/{host.id}").json()
    assert (shown["status"], shown["key_rotation"]) == ("online", "none")


@pytest.mark.parametrize(
    "fault", [Fault.KILL_BEFORE_FORWARDING, Fault.KILL_BEFORE_ANSWER, Fault.KILL_WITHIN_ANSWER]
)
def test_killed_around_the_answer_it_goes_on_with_a_key_that_works(
    fault: Fault,
    stack: LocalStack,
    calls: Calls,
    agent: AgentProcess,
    start: Start,
    secrets_seen: set[str],
) -> None:
    with FaultProxy(stack.url).serving() as proxy:
        agent = AgentProcess(agent.folder, proxy.url)
        assert agent.enroll(calls.mint().secret).returncode == 0
        host = host_of(agent)
        process = start(agent, "run")
        until(lambda: calls.status_of(host) == "online", "the agent comes online")
        proxy.arm(fault, "/runtime-key/rotate")
        proxy.aim_at(process.pid)
        ask_for_a_rotation(calls, host)
        assert process.wait(30) == -signal.SIGKILL
        start(agent, "run")
        if fault is Fault.KILL_BEFORE_FORWARDING:
            until(lambda: has_settled(agent, host.key), "what was asked for is done after all")
            assert_superseded(calls, host.id, host.key)
        else:
            # The new key was lost with the process. Nobody has used it, so the old one lives.
            seen = calls.operator("GET", f"/agents/{host.id}").json()["last_seen_at"]
            until(
                lambda: calls.operator("GET", f"/agents/{host.id}").json()["last_seen_at"] > seen,
                "the agent beats on with its old key",
            )
            assert host_of(agent).key == host.key
        secrets_seen.add(host_of(agent).key)
    assert calls.status_of(host) == "online"
