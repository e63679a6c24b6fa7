"""`kill -9` at every step of `enroll --replace`: the host always has an identity that works."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.agent_faults.fake_control_plane import Agent, FakeControlPlane
from tests.e2e.agent_faults.harness import AgentProcess, KillPoint, kill_points
from tests.e2e.agent_faults.zygote import Zygote

NAME = "the-name-of-the-host"


class Replacing:
    """A fresh host with an identity of its own, and a token for the next one, for each kill."""

    def __init__(self, plane: FakeControlPlane, folder: Path, lives: Zygote) -> None:
        self.plane, self.folder, self.lives = plane, folder, lives
        self.host = AgentProcess(folder / "none", plane.url)
        self.former, self.token = "", ""

    def enroll_and_die(self, number: int, *options: str) -> subprocess.CompletedProcess[str]:
        self.plane.agents.clear()
        former = self.plane.enrolled()
        former.name = NAME
        self.former, self.token = former.agent_id, self.plane.mint()
        self.host = AgentProcess(folder=self.folder / str(number), url=self.plane.url)
        self.host.write(
            ROLLCALL_AGENT_ID=former.agent_id,
            ROLLCALL_AGENT_API_KEY=former.key,
            ROLLCALL_STATE_FILE=str(self.folder / "missing" / "state"),
        )
        return self.again(*options, kill_at=number)

    def again(self, *options: str, kill_at: int | None = None) -> subprocess.CompletedProcess[str]:
        arguments = ("enroll", "--replace", *options)
        return self.lives.run(self.host, *arguments, token=self.token, kill_at=kill_at)

    def present(self) -> Agent:
        """Return the agent that the env file names, which has not ended and takes its key."""
        settings = self.host.settings()
        agent = self.plane.agents[settings["ROLLCALL_AGENT_ID"]]
        assert not agent.is_revoked
        assert agent.key == settings["ROLLCALL_AGENT_API_KEY"]
        return agent

    def assert_replaced(self) -> None:
        agent = self.present()
        assert agent.agent_id != self.former
        assert [(each.agent_id, each.name) for each in self.plane.live()] == [
            (agent.agent_id, NAME)
        ]
        left = [name for name in self.host.settings() if "FORMER" in name or "ENROLLMENT" in name]
        assert left == []


@pytest.fixture
def replacing(control_plane: FakeControlPlane, tmp_path: Path, lives: Zygote) -> Replacing:
    return Replacing(control_plane, tmp_path, lives)


def resumes(replacing: Replacing, point: KillPoint, *options: str) -> None:
    where = f"step {point.number}"
    replacing.present()
    if point.number % 2:
        # A service goes on meanwhile, as the former or as the new agent.
        beaten = replacing.lives.run(replacing.host, "run", "--once")
        assert beaten.returncode == 0, f"{where}: {beaten.stderr}"
    resumed = replacing.again(*options)
    # The token is spent where everything was done before.
    assert resumed.returncode in {0, 3}, f"{where}: {resumed.stderr}"
    replacing.assert_replaced()


@pytest.mark.parametrize("options", [(), ("--name", NAME)], ids=["derived", "named"])
def test_killed_at_each_step_it_resumes_to_one_agent_of_the_same_name(
    replacing: Replacing, options: tuple[str, ...]
) -> None:
    points = 0
    for point in kill_points(lambda number: replacing.enroll_and_die(number, *options)):
        points += 1
        resumes(replacing, point, *options)
    assert points >= 30, "the harness saw fewer steps than replacing has"
    replacing.assert_replaced()
