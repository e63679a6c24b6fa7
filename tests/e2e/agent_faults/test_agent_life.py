"""A host's life beyond its first beats, against a control plane on a real socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rollcall_agent.commands.run import run_agent
from rollcall_agent.say import Terminal
from rollcall_agent.stopping import Stopper, StopRequestedError

from tests.e2e.agent_faults.fake_control_plane import FakeControlPlane
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.agent_faults.zygote import Zygote


class Hurried(Stopper):
    """A clock that sleeps no time, and stops after a number of sleeps."""

    def __init__(self, sleeps: int, each: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.left = sleeps
        self.skipped = 0.0
        self.each = each

    def now(self) -> float:
        return super().now() + self.skipped

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds
        self.left -= 1
        self.each()
        if self.left == 0:
            self.stop()
        super().sleep(0)


def live(host: AgentProcess, stopper: Stopper, **environment: str) -> None:
    """Run the agent's loop in this process until the stopper has had enough."""
    given = {"ROLLCALL_API_BASE_URL": host.url, **environment}
    with pytest.raises(StopRequestedError):
        run_agent(
            host.config, None, stopper, Terminal(), once=False, verbose=False, environment=given
        )


def enrolled(plane: FakeControlPlane, host: AgentProcess) -> Any:
    agent = plane.enrolled()
    host.write(ROLLCALL_AGENT_ID=agent.agent_id, ROLLCALL_AGENT_API_KEY=agent.key)
    return agent


def test_facts_follow_the_beat_that_was_told_they_are_wanted_and_only_that(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    known = enrolled(control_plane, agent)
    control_plane.wants_facts = True
    live(agent, Hurried(sleeps=3))
    assert known.facts["facts_sha256"] == known.beats[0]["facts"] == known.beats[-1]["facts"]
    assert known.facts["facts"]["hostname"]


def test_an_enrollment_that_cannot_be_written_beats_unpersisted_until_it_is(
    control_plane: FakeControlPlane, agent: AgentProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    token = control_plane.mint()
    blocker = agent.config.with_name(".agent.env.new")

    def break_disk() -> None:
        # A folder where the temporary file goes stops root as well.
        blocker.mkdir()
        (blocker / "full").touch()

    def repair_disk_after_two_beats() -> None:
        (known,) = control_plane.agents.values()
        if len(known.beats) == 2 and blocker.exists():
            (blocker / "full").unlink()
            blocker.rmdir()

    control_plane.before_exchange = break_disk
    live(agent, Hurried(sleeps=20, each=repair_disk_after_two_beats), ROLLCALL_TOKEN=token)

    (known,) = control_plane.agents.values()
    said = [beat["unpersisted"] for beat in known.beats]
    assert said[:2] == [True, True]
    assert said[-1] is False
    assert said == sorted(said, reverse=True)
    assert agent.settings()["ROLLCALL_AGENT_API_KEY"] == known.key
    shown = capsys.readouterr()
    assert "in memory alone" in shown.err
    assert "in the env file now" in shown.out


def test_a_clone_that_is_split_off_lives_on_as_an_agent_of_its_own(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    former = enrolled(control_plane, agent)
    former.is_to_split = True
    live(agent, Hurried(sleeps=4))
    (own,) = (other for other in control_plane.agents.values() if other is not former)
    assert len(own.beats) >= 2
    assert former.beats == []
    assert agent.settings()["ROLLCALL_AGENT_ID"] == own.agent_id


def test_a_rotation_is_one_key_after_the_other_without_a_beat_missing(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    known = enrolled(control_plane, agent)
    first = known.key
    known.wants_rotation = True
    live(agent, Hurried(sleeps=4))
    assert known.superseded == {first}
    assert [beat["sequence"] for beat in known.beats] == [1, 2, 3, 4]
    assert len({beat["instance"] for beat in known.beats}) == 1
    assert agent.settings()["ROLLCALL_AGENT_API_KEY"] == known.key


def test_a_restart_waits_for_the_agents_slot(
    control_plane: FakeControlPlane, agent: AgentProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    known = enrolled(control_plane, agent)
    live(agent, Hurried(sleeps=1))
    assert "slot" not in capsys.readouterr().err
    assert len(known.beats) == 1

    restarted = Hurried(sleeps=1)
    live(agent, restarted)
    assert "slot in the interval" in capsys.readouterr().err
    assert len(known.beats) == 1
    assert 0 <= restarted.skipped <= control_plane.interval


def test_decommissioning_asks_first_and_then_ends_the_agent_and_its_identity(
    control_plane: FakeControlPlane, agent: AgentProcess, lives: Zygote
) -> None:
    known = enrolled(control_plane, agent)
    asked = lives.run(agent, "decommission")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert not known.is_revoked

    done = lives.run(agent, "decommission", "--yes", "--note", "scrapped")
    assert done.returncode == 0, done.stderr
    assert known.is_revoked
    assert agent.settings() == {}
    assert known.key not in agent.config.read_text()
    assert lives.run(agent, "run").returncode == 7


def test_a_sensors_env_file_is_all_that_a_start_needs(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    token = control_plane.mint()
    agent.write(SENSOR_ID="sensor-1", INSTALL_TOKEN=token, BACKEND_URL=agent.url)
    stopper = Hurried(sleeps=1)
    with pytest.raises(StopRequestedError):
        run_agent(
            agent.config, None, stopper, Terminal(), once=False, verbose=False, environment={}
        )
    (known,) = control_plane.agents.values()
    assert agent.config.read_text() == (
        "SENSOR_ID=sensor-1\n# INSTALL_TOKEN consumed during enrollment\n"
        f"BACKEND_URL={agent.url}\nSENSOR_TOKEN={known.key}\nROLLCALL_AGENT_ID={known.agent_id}\n"
    )
    assert len(known.beats) == 1
