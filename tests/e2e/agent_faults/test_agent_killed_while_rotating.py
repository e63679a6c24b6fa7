"""`kill -9` at every step of a rotation and of a split: the next start recovers by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.agent_faults.fake_control_plane import Agent, FakeControlPlane
from tests.e2e.agent_faults.harness import AgentProcess, kill_points
from tests.e2e.agent_faults.zygote import Zygote

SPLIT_NAMES = {
    "ROLLCALL_SPLIT_IDEMPOTENCY_KEY",
    "ROLLCALL_SPLIT_AGENT_ID",
    "ROLLCALL_SPLIT_INSTANCE",
}


class Hosts:
    """A fresh, enrolled host for each kill point."""

    def __init__(self, plane: FakeControlPlane, folder: Path, lives: Zygote) -> None:
        self.plane = plane
        self.lives = lives
        self._folder = folder
        self._count = 0

    def new(self) -> tuple[AgentProcess, Agent]:
        self._count += 1
        host = AgentProcess(folder=self._folder / str(self._count), url=self.plane.url)
        agent = self.plane.enrolled()
        self.write(host, ROLLCALL_AGENT_ID=agent.agent_id, ROLLCALL_AGENT_API_KEY=agent.key)
        return host, agent

    def write(self, host: AgentProcess, **settings: str) -> None:
        # What `status` shows is not what is tested: it has nowhere to go, which saves its steps.
        host.write(ROLLCALL_STATE_FILE=str(self._folder / "missing" / "state"), **settings)

    def beat(
        self, host: AgentProcess, *, kill_at: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.lives.run(host, "run", "--once", kill_at=kill_at)

    def steps(self, host: AgentProcess) -> list[str]:
        """Live once without being killed, and return the steps of that life."""
        assert self.beat(host, kill_at=0).returncode == 0
        return [line.split()[1] for line in host.steps.read_text().splitlines()]


@pytest.fixture
def hosts(control_plane: FakeControlPlane, tmp_path: Path, lives: Zygote) -> Hosts:
    return Hosts(control_plane, tmp_path, lives)


def after_the_answer(steps: list[str]) -> int:
    """Return the first step after the first beat's answer; those before are every beat's."""
    return steps.index("fault.recv") + 2


def assert_rotated(host: AgentProcess, agent: Agent, former: str) -> None:
    settings = host.settings()
    assert settings["ROLLCALL_AGENT_API_KEY"] == agent.key != former
    assert "ROLLCALL_AGENT_PREVIOUS_API_KEY" not in settings
    assert agent.superseded == {former}
    assert not agent.wants_rotation


def test_killed_at_each_step_of_a_rotation_the_agent_has_a_key_that_works(hosts: Hosts) -> None:
    last: list[tuple[AgentProcess, Agent, str]] = []

    def rotate_and_die(number: int) -> subprocess.CompletedProcess[str]:
        host, agent = hosts.new()
        agent.wants_rotation = True
        last.append((host, agent, agent.key))
        return hosts.beat(host, kill_at=number)

    host, agent = hosts.new()
    agent.wants_rotation = True
    points = 0
    for point in kill_points(rotate_and_die, first=after_the_answer(hosts.steps(host))):
        points += 1
        host, agent, former = last[-1]
        for _ in range(2):
            assert hosts.beat(host).returncode == 0, f"step {point.number}"
        if agent.wants_rotation or agent.pending:
            # Killed before the new key was on disk: the second life asked for another one.
            assert hosts.beat(host).returncode == 0
        assert_rotated(host, agent, former)
    assert points >= 15, "the harness saw fewer steps than a rotation has"


def test_killed_at_each_step_of_letting_the_old_key_go_it_has_the_new_one(hosts: Hosts) -> None:
    last: list[tuple[AgentProcess, Agent, str]] = []

    def rotated() -> AgentProcess:
        host, agent = hosts.new()
        former, agent.pending = agent.key, f"rca_{'n' * 40}"
        hosts.write(
            host,
            ROLLCALL_AGENT_ID=agent.agent_id,
            ROLLCALL_AGENT_API_KEY=agent.pending,
            ROLLCALL_AGENT_PREVIOUS_API_KEY=former,
        )
        last.append((host, agent, former))
        return host

    first = after_the_answer(hosts.steps(rotated()))
    for point in kill_points(lambda number: hosts.beat(rotated(), kill_at=number), first=first):
        host, agent, former = last[-1]
        assert hosts.beat(host).returncode == 0, f"step {point.number}"
        assert_rotated(host, agent, former)


def test_killed_at_each_step_of_a_split_the_copy_ends_with_one_identity_of_its_own(
    hosts: Hosts,
) -> None:
    last: list[tuple[AgentProcess, Agent]] = []

    def to_split() -> AgentProcess:
        hosts.plane.agents.clear()
        host, agent = hosts.new()
        agent.is_to_split = True
        last.append((host, agent))
        return host

    points = 0
    first = after_the_answer(hosts.steps(to_split()))
    for point in kill_points(lambda number: hosts.beat(to_split(), kill_at=number), first=first):
        points += 1
        host, former = last[-1]
        lives = 0
        while host.settings()["ROLLCALL_AGENT_ID"] == former.agent_id:
            lives += 1
            assert lives <= 2, f"step {point.number}"
            assert hosts.beat(host).returncode == 0, f"step {point.number}"
        assert hosts.beat(host).returncode == 0, f"step {point.number}"

        settings = host.settings()
        (own,) = (agent for agent in hosts.plane.agents.values() if agent is not former)
        assert settings["ROLLCALL_AGENT_ID"] == own.agent_id
        assert settings["ROLLCALL_AGENT_API_KEY"] == own.key
        assert not SPLIT_NAMES & set(settings)
        assert len(own.beats) == 1
        assert former.beats == []
    assert points >= 20, "the harness saw fewer steps than a split has"
