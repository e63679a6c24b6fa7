from __future__ import annotations

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.beating import Beating
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.heartbeat import Heartbeat
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity
from rollcall_agent.stopping import StopRequestedError

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, lost, refused, said

ONLINE = said(200, {"status": "online", "heartbeat_interval_seconds": 60})


class Stage:
    def __init__(self, *answers: Answer | Exception, verbose: bool = False) -> None:
        self.plane = ScriptedPlane(*answers)
        self.clock = FakeClock()
        self.lines = Lines()
        self.remembered: list[str] = []
        self.beating = Beating(
            identity=Identity("agt_1", Secret("rca_key")),
            plane=self.plane,
            heartbeat=Heartbeat(rng=Chance(0.5), mint_nonce=iter("abcdefgh").__next__),
            instance="instance-of-this-start",
            clock=self.clock,
            say=self.lines,
            remember=lambda state, _detail, _now: self.remembered.append(state),
            verbose=verbose,
        )

    def run(self) -> None:
        """Run until the script ends."""
        self.plane.answers.append(StopRequestedError())
        with pytest.raises(StopRequestedError):
            self.beating.run()

    def sent(self) -> list[tuple[object, object]]:
        bodies = [call.body or {} for call in self.plane.calls]
        return [(body["sequence"], body["nonce"]) for body in bodies]


def test_the_first_beat_goes_out_at_once_and_the_next_after_the_interval() -> None:
    stage = Stage(ONLINE, ONLINE)
    stage.run()
    assert stage.clock.sleeps == [60, 60]
    assert stage.sent()[:2] == [(1, "a"), (2, "b")]


def test_a_beat_names_its_agent_its_instance_and_carries_the_key_apart() -> None:
    stage = Stage(ONLINE)
    stage.run()
    call = stage.plane.calls[0]
    assert call.path == "/api/v1/agents/agt_1/telemetry/heartbeat"
    assert (call.body or {})["instance"] == "instance-of-this-start"
    assert call.bearer == Secret("rca_key")
    assert "rca_key" not in repr(call)


def test_a_lost_answer_repeats_the_pair_and_the_next_beat_is_new() -> None:
    stage = Stage(lost(), Answer(502), ONLINE, ONLINE)
    stage.run()
    assert stage.sent()[:4] == [(1, "a"), (1, "a"), (1, "a"), (2, "b")]


def test_one_line_for_each_change_of_state() -> None:
    stage = Stage(ONLINE, ONLINE, lost(), lost(), lost(), ONLINE, ONLINE)
    stage.run()
    assert len(stage.lines.results) == 2
    assert len(stage.lines.warnings) == 1
    assert stage.remembered == ["online", "unreachable", "online"]


def test_verbose_prints_each_beat() -> None:
    stage = Stage(ONLINE, ONLINE, ONLINE, verbose=True)
    stage.run()
    assert len(stage.lines.results) == 3
    assert "Next beat in 60.0 s" in stage.lines.results[0]


def test_a_revoked_key_ends_the_loop_with_its_own_code() -> None:
    stage = Stage(ONLINE, refused(401, "key_revoked"))
    with pytest.raises(AgentError) as ended:
        stage.beating.run()
    assert ended.value.exit_code is ExitCode.IDENTITY_ENDED
    assert stage.remembered == ["online", "ended"]


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (lost(), ExitCode.UNREACHABLE),
        (Answer(503), ExitCode.UNREACHABLE),
        (refused(403, "agent_quarantined"), ExitCode.REFUSED),
        (refused(401, "key_superseded"), ExitCode.IDENTITY_ENDED),
    ],
)
def test_a_single_beat_ends_with_the_code_of_its_outcome(
    answer: Answer | Exception, exit_code: ExitCode
) -> None:
    with pytest.raises(AgentError) as ended:
        Stage(answer).beating.once()
    assert ended.value.exit_code is exit_code


def test_a_single_accepted_beat_waits_for_nothing() -> None:
    stage = Stage(ONLINE)
    stage.beating.once()
    assert stage.clock.sleeps == []
    assert stage.lines.results == ["Online, beating every 60 s."]
