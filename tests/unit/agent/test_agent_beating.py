from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent import __version__
from rollcall_agent.answers import Answer
from rollcall_agent.exits import AgentError, ExitCode, RestartRequestedError
from rollcall_agent.last_state import Beaten
from rollcall_agent.secret import Secret

from tests.unit.agent.fakes import lost, refused, said
from tests.unit.agent.stage import ENROLLED, ONLINE, Stage, online


def sent(stage: Stage) -> list[tuple[object, object]]:
    return [(beat["sequence"], beat["nonce"]) for beat in stage.beats()]


def test_a_new_identity_beats_at_once_and_then_at_its_slots(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE)
    stage.run()
    assert stage.clock.sleeps == pytest.approx([60, 60])
    assert sent(stage) == [(1, "agt_1-a"), (2, "agt_1-b")]


def test_an_identity_that_has_beaten_before_starts_at_its_slot(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, beaten=Beaten("agt_1", 60))
    stage.clock.time += 25
    stage.run()
    assert stage.clock.sleeps == pytest.approx([35, 60])


def test_a_single_beat_goes_out_at_once_also_for_an_identity_that_has_beaten(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ONLINE, beaten=Beaten("agt_1", 60))
    stage.clock.time += 25
    stage.beating.once()
    assert stage.clock.sleeps == []


def test_a_start_beats_in_the_interval_of_the_life_before_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, beaten=Beaten("agt_1", 600))
    assert stage.beating.heartbeat.interval == 600


def test_the_wait_counts_from_the_answer_and_not_from_what_was_done_after_it(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ONLINE)

    def seven_seconds_pass() -> None:
        stage.clock.time += 7

    stage.wishes.meanwhile = seven_seconds_pass
    stage.run()
    assert stage.clock.sleeps == pytest.approx([53])


def test_a_beat_names_its_agent_its_instance_and_carries_the_key_apart(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.run()
    call = stage.plane.calls[0]
    assert call.path == "/api/v1/agents/agt_1/telemetry/heartbeat"
    assert stage.beats()[0]["instance"] == stage.beating.instance.name
    assert call.bearer == Secret("rca_key")
    assert "rca_key" not in repr(call)


def test_a_lost_answer_repeats_the_pair_and_the_next_beat_is_new(tmp_path: Path) -> None:
    stage = Stage(tmp_path, lost(), Answer(502), ONLINE, ONLINE)
    stage.run()
    pairs = [(1, "agt_1-a"), (1, "agt_1-a"), (1, "agt_1-a"), (2, "agt_1-b")]
    assert sent(stage) == pairs


def test_one_line_for_each_change_of_state(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE, lost(), lost(), lost(), ONLINE, ONLINE)
    stage.run()
    assert len(stage.lines.results) == 2
    assert len(stage.lines.warnings) == 1
    assert stage.remembered == ["online", "unreachable", "online"]


def test_verbose_prints_each_beat(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE, ONLINE, verbose=True)
    stage.run()
    assert len(stage.lines.results) == 3
    assert "Next beat in 60.0 s" in stage.lines.results[0]


def test_a_revoked_key_ends_the_loop_with_its_own_code(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, refused(401, "key_revoked"))
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
    tmp_path: Path, answer: Answer | Exception, exit_code: ExitCode
) -> None:
    with pytest.raises(AgentError) as ended:
        Stage(tmp_path, answer).beating.once()
    assert ended.value.exit_code is exit_code


def test_a_single_accepted_beat_waits_for_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.beating.once()
    assert stage.clock.sleeps == []
    assert stage.lines.results == ["Online, beating every 60 s."]


def test_the_process_keeps_its_instance_from_beat_to_beat(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE, lost(), ONLINE)
    stage.run()
    assert len({beat["instance"] for beat in stage.beats()}) == 1


@pytest.mark.parametrize("seconds", [11.0, -11.0, 86400.0])
def test_a_machine_that_was_suspended_or_restored_beats_as_another_instance(
    tmp_path: Path, seconds: float
) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.plane.meanwhile = lambda: setattr(stage.clock, "jumped", seconds)
    stage.run(ONLINE, ONLINE)
    first, second, third = (beat["instance"] for beat in stage.beats())
    assert first != second
    assert second == third


def test_a_sequence_that_somebody_else_has_used_ends_the_shared_instance(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, refused(409, "sequence_stale", last_sequence=7), ONLINE, ONLINE)
    stage.run()
    before, stale, after, later = (beat["instance"] for beat in stage.beats())
    assert before == stale != after == later
    assert [sequence for sequence, _ in sent(stage)][2:] == [8, 9]


@pytest.mark.parametrize("why", [{}, {"quarantine_reason": "clone"}, {"quarantine_reason": 7}])
def test_a_quarantined_copy_says_by_which_name_an_operator_sees_it(
    tmp_path: Path, why: dict[str, Any]
) -> None:
    stage = Stage(tmp_path, ONLINE, refused(403, "agent_quarantined", **why))
    stage.run()
    seen = hashlib.sha256(str(stage.beats()[-1]["instance"]).encode()).digest()[:8].hex()
    assert stage.lines.warnings[-1].endswith(f" This copy is {seen}.")


def test_a_clock_that_drifts_slowly_changes_no_instance(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE, ONLINE)

    def drift() -> None:
        stage.clock.jumped += 9

    stage.plane.meanwhile = drift
    stage.run()
    assert len({beat["instance"] for beat in stage.beats()}) == 1


def test_another_version_is_asked_for_only_where_the_environment_wants_another(
    tmp_path: Path,
) -> None:
    stage = Stage(
        tmp_path, ONLINE, online(agent_version=__version__), online(agent_version="9.9.9")
    )
    stage.run(Answer(500))
    assert stage.wishes.told == ["accepted", "accepted", "accepted", "9.9.9", "not accepted"]


def test_a_new_version_in_place_ends_the_loop_for_the_service_manager_to_start_it(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, online(agent_version="9.9.9"))
    stage.wishes.error = RestartRequestedError("9.9.9 is in place")
    with pytest.raises(RestartRequestedError):
        stage.beating.run()
    assert stage.remembered == ["online"]


def test_quarantine_says_that_two_copies_live_and_what_to_do(tmp_path: Path) -> None:
    quarantined = refused(
        403, "agent_quarantined", quarantine_reason="clone", detail="Two copies run."
    )
    stage = Stage(tmp_path, ONLINE, *[quarantined] * 3, ONLINE)
    stage.run()
    (warning,) = stage.lines.warnings
    assert "Two copies" in warning
    assert "was copied" in warning
    assert "enroll --replace" in warning
    assert "choose which copy" in warning
    assert stage.clock.sleeps == pytest.approx([60, 60, 120, 120, 60])
    assert set(stage.keys()) == {"rca_key"}
    assert stage.remembered == ["online", "quarantined", "online"]


@pytest.mark.parametrize("why", [{"quarantine_reason": "operator"}, {}, {"quarantine_reason": "x"}])
def test_an_operators_quarantine_is_not_called_a_copy(tmp_path: Path, why: dict[str, Any]) -> None:
    stage = Stage(tmp_path, ONLINE, refused(403, "agent_quarantined", **why), ONLINE)
    stage.run()
    (warning,) = stage.lines.warnings
    assert "was copied" not in warning
    assert "two copies" not in warning.lower()
    assert "ask an operator why" in warning
    assert "the key is kept" in warning
    is_told = why == {"quarantine_reason": "operator"}
    assert ("enroll --replace" in warning) is not is_told
    assert ("This copy is" in warning) is not is_told


@pytest.mark.parametrize(
    "body",
    [
        {"status": "ok"},
        {"status": "online"},
        {"status": "error", "heartbeat_interval_seconds": 60},
        {"status": "quarantined", "heartbeat_interval_seconds": 60},
        {"status": "online", "heartbeat_interval_seconds": None},
        {"status": "online", "heartbeat_interval_seconds": "60"},
        {"status": "online", "heartbeat_interval_seconds": True},
        {"status": "online", "heartbeat_interval_seconds": float("nan")},
        {"status": "online", "heartbeat_interval_seconds": []},
    ],
)
def test_what_is_no_answer_of_the_control_plane_is_no_accepted_beat(
    tmp_path: Path, body: dict[str, object]
) -> None:
    both = ENROLLED + "ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_before\n"
    stage = Stage(tmp_path, ONLINE, said(200, body), said(200, body), text=both)
    # Accepted, and the env file full: both keys stay until a beat is accepted again.
    repair = stage.break_disk()
    stage.plane.meanwhile = lambda: repair() if len(stage.plane.calls) == 2 else None
    stage.run()
    assert stage.remembered == ["online", "unreachable"]
    assert stage.path.read_text() == both
    assert [beat["sequence"] for beat in stage.beats()] == [1, 2, 2]
