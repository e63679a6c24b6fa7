"""`kill -9` at every step of enrolling: run again, it ends with one agent and one use."""

from __future__ import annotations

import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.agent_faults.conftest import Start
from tests.e2e.agent_faults.fake_control_plane import FakeControlPlane
from tests.e2e.agent_faults.harness import AgentProcess, kill_points
from tests.e2e.agent_faults.proxy import Fault, FaultProxy
from tests.e2e.agent_faults.zygote import Zygote


def assert_enrolled_once(plane: FakeControlPlane, agent: AgentProcess, token: str) -> None:
    settings = agent.settings()
    enrolled = plane.agents[settings["ROLLCALL_AGENT_ID"]]
    assert settings["ROLLCALL_AGENT_API_KEY"] == enrolled.key
    assert plane.uses_left[token] == 1, "one of two uses is spent"
    assert list(plane.agents) == [enrolled.agent_id]
    assert "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY" not in settings
    assert token not in agent.config.read_text()
    assert stat.S_IMODE(agent.config.stat().st_mode) == 0o600
    assert [path.name for path in agent.config.parent.iterdir()] == ["agent.env"]


def test_killed_at_each_step_it_resumes_to_one_agent_and_one_use(
    control_plane: FakeControlPlane, tmp_path: Path, lives: Zygote
) -> None:
    tokens: dict[int, str] = {}

    def host(number: int) -> AgentProcess:
        return AgentProcess(folder=tmp_path / str(number), url=control_plane.url)

    def enroll_and_die(number: int) -> subprocess.CompletedProcess[str]:
        control_plane.agents.clear()
        tokens[number] = control_plane.mint(uses=2)
        return lives.run(host(number), "enroll", token=tokens[number], kill_at=number)

    points = 0
    for point in kill_points(enroll_and_die):
        points += 1
        resumed = lives.run(host(point.number), "enroll", token=tokens[point.number])
        assert resumed.returncode == 0, f"step {point.number}: {resumed.stderr}"
        assert_enrolled_once(control_plane, host(point.number), tokens[point.number])
    assert points >= 20, "the harness saw fewer steps than enrolling has"


def test_the_harness_sees_both_writes_and_the_exchange_between_them(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    assert agent.enroll(control_plane.mint(), kill_at=0).returncode == 0

    steps = [line.split()[1] for line in agent.steps.read_text().splitlines()]

    renames = [place for place, step in enumerate(steps) if step == "os.rename"]
    sends = [place for place, step in enumerate(steps) if step == "fault.send"]
    assert len(renames) == 2
    assert renames[0] < sends[0] < sends[-1] < renames[1]
    assert steps[renames[0] - 1] == steps[renames[0] + 1] == "fault.fsync"
    assert {"os.mkdir", "open", "os.chmod", "socket.connect", "fault.recv"} <= set(steps)


@pytest.mark.parametrize(
    "fault", [Fault.KILL_BEFORE_FORWARDING, Fault.KILL_BEFORE_ANSWER, Fault.KILL_WITHIN_ANSWER]
)
def test_killed_around_the_answer_it_resumes_to_one_agent_and_one_use(
    fault: Fault, control_plane: FakeControlPlane, proxy: FaultProxy, tmp_path: Path, start: Start
) -> None:
    agent = AgentProcess(folder=tmp_path / "host", url=proxy.url)
    token = control_plane.mint(uses=2)
    proxy.arm(fault, "/exchange")

    process = start(agent, "enroll", token=token)
    proxy.aim_at(process.pid)

    assert process.wait(30) == -signal.SIGKILL
    assert len(control_plane.agents) == (0 if fault is Fault.KILL_BEFORE_FORWARDING else 1)
    assert agent.enroll(token).returncode == 0
    assert_enrolled_once(control_plane, agent, token)


@pytest.mark.parametrize("fault", [Fault.DROP_ANSWER, Fault.CUT_ANSWER])
def test_a_lost_answer_is_asked_for_again_in_the_same_run(
    fault: Fault, control_plane: FakeControlPlane, proxy: FaultProxy, tmp_path: Path
) -> None:
    agent = AgentProcess(folder=tmp_path / "host", url=proxy.url)
    token = control_plane.mint(uses=2)
    proxy.arm(fault, "/exchange")

    result = agent.enroll(token)

    assert result.returncode == 0
    assert "Trying again" in result.stderr
    assert_enrolled_once(control_plane, agent, token)


def test_killed_again_while_resuming_it_still_ends_with_one_agent(
    control_plane: FakeControlPlane, proxy: FaultProxy, tmp_path: Path, start: Start
) -> None:
    agent = AgentProcess(folder=tmp_path / "host", url=proxy.url)
    token = control_plane.mint(uses=2)
    for _ in range(3):
        proxy.arm(Fault.KILL_BEFORE_ANSWER, "/exchange")
        process = start(agent, "enroll", token=token)
        proxy.aim_at(process.pid)
        assert process.wait(30) == -signal.SIGKILL

    assert agent.enroll(token).returncode == 0
    assert_enrolled_once(control_plane, agent, token)
