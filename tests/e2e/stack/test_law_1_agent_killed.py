"""Law 1: `kill -9` of the real agent at each step of enrolling, against the deployed stage."""

from __future__ import annotations

import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local_stack import LocalStack
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.agent_faults.proxy import Fault, FaultProxy
from tests.e2e.stack.calls import Calls, Host, Token
from tests.e2e.stack.conftest import Start

AT_ONCE = 4
FEWEST_STEPS = 20


def assert_enrolled_once(calls: Calls, agent: AgentProcess, token: Token) -> None:
    """One agent, one use, and the key on disk is the one that works."""
    settings = agent.settings()
    host = Host(settings["ROLLCALL_AGENT_ID"], settings["ROLLCALL_AGENT_API_KEY"])
    assert [found["agent_id"] for found in calls.agents_of(token)] == [host.id]
    assert calls.uses(token) == 1
    assert token.secret not in agent.config.read_text()
    assert "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY" not in settings
    assert stat.S_IMODE(agent.config.stat().st_mode) == 0o600
    assert [path.name for path in agent.config.parent.iterdir()] == ["agent.env"]
    beat = calls.beat(host)
    assert beat.status_code == 200, beat.text


def test_killed_at_each_step_it_resumes_to_one_agent_and_one_use(
    stack: LocalStack, calls: Calls, tmp_path: Path
) -> None:
    whole = AgentProcess(tmp_path / "whole", stack.url)
    assert whole.enroll(calls.mint().secret, kill_at=0).returncode == 0
    steps = len(whole.steps.read_text().splitlines())
    assert steps >= FEWEST_STEPS

    def die_and_resume(number: int) -> bool:
        agent = AgentProcess(tmp_path / str(number), stack.url)
        token = calls.mint(uses=2)
        died = agent.enroll(token.secret, kill_at=number).returncode
        assert died in {-signal.SIGKILL, 0}
        resumed = agent.enroll(token.secret)
        assert resumed.returncode == 0, f"step {number}: {resumed.stderr}"
        assert_enrolled_once(calls, agent, token)
        return died != 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        killed = list(pool.map(die_and_resume, range(1, steps + 3)))
    # An answer may come in more or fewer pieces, each of which is a step.
    assert all(killed[: steps - 2])
    assert not killed[-1] or not killed[-2]


@pytest.mark.parametrize(
    "fault", [Fault.KILL_BEFORE_FORWARDING, Fault.KILL_BEFORE_ANSWER, Fault.KILL_WITHIN_ANSWER]
)
def test_killed_around_the_answer_it_resumes_to_one_agent_and_one_use(
    fault: Fault, stack: LocalStack, calls: Calls, tmp_path: Path, start: Start
) -> None:
    token = calls.mint(uses=2)
    with FaultProxy(stack.url).serving() as proxy:
        agent = AgentProcess(tmp_path / "host", proxy.url)
        for _ in range(2):
            proxy.arm(fault, "/exchange")
            process = start(agent, "enroll", token=token.secret)
            proxy.aim_at(process.pid)
            assert process.wait(30) == -signal.SIGKILL
            assert calls.uses(token) == (0 if fault is Fault.KILL_BEFORE_FORWARDING else 1)
        resumed = agent.enroll(token.secret)
    assert resumed.returncode == 0, resumed.stderr
    assert_enrolled_once(calls, agent, token)


@pytest.mark.parametrize("fault", [Fault.DROP_ANSWER, Fault.CUT_ANSWER])
def test_a_lost_answer_is_asked_for_again_in_the_same_run(
    fault: Fault, stack: LocalStack, calls: Calls, tmp_path: Path
) -> None:
    token = calls.mint(uses=2)
    with FaultProxy(stack.url).serving() as proxy:
        agent = AgentProcess(tmp_path / "host", proxy.url)
        proxy.arm(fault, "/exchange")
        result = agent.enroll(token.secret)
    assert result.returncode == 0, result.stderr
    assert "Trying again" in result.stderr
    assert_enrolled_once(calls, agent, token)


def test_a_beat_whose_answer_was_lost_is_accepted_again(
    stack: LocalStack, calls: Calls, tmp_path: Path
) -> None:
    token = calls.mint()
    with FaultProxy(stack.url).serving() as proxy:
        agent = AgentProcess(tmp_path / "host", proxy.url)
        assert agent.enroll(token.secret).returncode == 0
        for fault in (Fault.DROP_ANSWER, Fault.CUT_ANSWER):
            proxy.arm(fault, "/heartbeat")
            first = agent.run("run", "--once")
            assert first.returncode == 4, first.stderr
    agent_id = agent.settings()["ROLLCALL_AGENT_ID"]
    seen = calls.operator("GET", f"/agents/{agent_id}").json()
    assert seen["status"] == "online"
