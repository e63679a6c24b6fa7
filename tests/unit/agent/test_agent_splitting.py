from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Settings

from tests.unit.agent.fakes import lost, refused, said
from tests.unit.agent.stage import ENROLLED, ONLINE, Stage

SPLIT = refused(409, "agent_split")
OWN = said(201, {"agent_id": "agt_2", "runtime_key": "rca_own", "heartbeat_interval_seconds": 30})
OWN_FILE = "ROLLCALL_AGENT_ID=agt_2\nROLLCALL_AGENT_API_KEY=rca_own\n"
NOTE = (
    "ROLLCALL_SPLIT_AGENT_ID=agt_1\nROLLCALL_SPLIT_INSTANCE=instance-before\n"
    "ROLLCALL_SPLIT_IDEMPOTENCY_KEY=noted-key\n"
)


def test_the_copy_takes_an_identity_of_its_own_and_beats_on_as_that(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, OWN)
    stage.run(ONLINE)

    assert stage.path.read_text() == OWN_FILE
    _, own = stage.calls("/heartbeat")
    assert own.path == "/api/v1/agents/agt_2/telemetry/heartbeat"
    assert own.bearer == Secret("rca_own")
    first, second = stage.beats()
    assert first["instance"] != second["instance"]
    assert second["sequence"] == 1
    # Fresh, so at once.
    assert stage.clock.sleeps[0] == 0
    assert "agt_2" in stage.lines.results[0]


def test_the_new_identity_begins_with_the_interval_that_came_with_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, OWN)
    stage.run()
    assert stage.beating.heartbeat.interval == 30


def test_the_attempt_is_on_disk_before_it_is_asked_for(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, OWN)
    seen: list[str] = []
    stage.plane.meanwhile = lambda: seen.append(stage.path.read_text())
    stage.run()

    (call,) = stage.calls("/split")
    key = call.headers["Idempotency-Key"]
    assert len(key) >= 22
    assert call.body == {"instance": stage.plane.calls[0].body["instance"]}  # type: ignore[index]
    assert call.bearer == Secret("rca_key")
    assert f"ROLLCALL_SPLIT_IDEMPOTENCY_KEY={key}\n" in seen[1]
    assert f"ROLLCALL_SPLIT_INSTANCE={call.body['instance']}\n" in seen[1]
    assert "ROLLCALL_SPLIT_AGENT_ID=agt_1\n" in seen[1]


def test_a_start_that_finds_the_note_asks_with_it_before_any_beat(tmp_path: Path) -> None:
    stage = Stage(tmp_path, OWN, text=ENROLLED + NOTE)
    stage.run(ONLINE)

    call = stage.plane.calls[0]
    assert call.path == "/api/v1/agents/agt_1/split"
    assert call.headers["Idempotency-Key"] == "noted-key"
    assert call.body == {"instance": "instance-before"}
    assert stage.path.read_text() == OWN_FILE
    assert stage.keys() == ["rca_own"]


def test_where_there_is_nothing_to_take_the_note_goes_and_the_agent_goes_on(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, refused(409, "not_split"), text=ENROLLED + NOTE)
    stage.run(ONLINE)
    assert stage.path.read_text() == ENROLLED
    assert stage.keys() == ["rca_key"]


@pytest.mark.parametrize(
    "failure", [lost(), Answer(503), Answer(500), said(201, {"agent_id": "x"})]
)
def test_what_may_pass_is_asked_again_with_the_same_key_and_without_beating(
    tmp_path: Path, failure: Answer | Exception
) -> None:
    stage = Stage(tmp_path, SPLIT, failure, failure, OWN)
    stage.run()
    assert len(stage.calls("/split")) == 3
    assert len({call.headers["Idempotency-Key"] for call in stage.calls("/split")}) == 1
    assert len(stage.beats()) == 1
    assert stage.path.read_text() == OWN_FILE


def test_a_refused_split_beats_on_slowly_and_keeps_its_note(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, refused(403, "scope_missing"), SPLIT, OWN)
    stage.run()
    first, second = stage.calls("/split")
    assert first.headers == second.headers
    assert min(stage.clock.sleeps[:-1]) >= 30
    assert stage.path.read_text() == OWN_FILE


def test_without_a_file_that_can_be_written_it_does_not_split_and_beats_slowly(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, SPLIT, SPLIT, SPLIT)
    repair = stage.break_disk()
    stage.run()
    assert stage.calls("/split") == []
    assert stage.clock.sleeps == pytest.approx([60, 120, 240])
    assert stage.path.read_text() == ENROLLED

    repair()
    stage.run(SPLIT, OWN)
    assert stage.path.read_text() == OWN_FILE


def test_an_identity_that_cannot_be_written_any_more_lives_in_memory_and_says_so(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, SPLIT, OWN, ONLINE)
    repairs: list[Callable[[], None]] = []
    stage.plane.meanwhile = lambda: (
        repairs.append(stage.break_disk()) if stage.calls("/split") and not repairs else None
    )
    stage.run()
    assert [beat["unpersisted"] for beat in stage.beats()] == [False, True]
    assert stage.keys() == ["rca_key", "rca_own"]

    repairs[0]()
    stage.clock.time += 900
    stage.run(ONLINE)
    assert stage.beats()[-1]["unpersisted"] is False
    assert stage.path.read_text() == OWN_FILE


def test_a_key_that_was_revoked_meanwhile_ends_the_identity(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, refused(401, "key_revoked"))
    with pytest.raises(AgentError) as ended:
        stage.beating.run()
    assert ended.value.exit_code is ExitCode.IDENTITY_ENDED


def test_another_agents_note_is_nobodys(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, text=ENROLLED + NOTE.replace("agt_1", "agt_0"))
    stage.run()
    assert stage.calls("/split") == []


@pytest.mark.parametrize("missing", NOTE.splitlines())
def test_half_a_note_is_none(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "agent.env"
    path.write_text(NOTE.replace(missing, ""))
    assert Settings.load(path, {}).split_note() is None


def test_the_note_of_another_agents_split_is_not_asked_with(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SPLIT, OWN, text=ENROLLED + NOTE.replace("agt_1", "agt_0"))
    stage.run()
    (call,) = stage.calls("/split")
    assert call.path == "/api/v1/agents/agt_1/split"
    assert call.headers["Idempotency-Key"] != "noted-key"
    assert call.body == {"instance": stage.beats()[0]["instance"]}


def test_what_is_remembered_of_the_former_agent_is_not_taken_for_the_new_ones(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ONLINE, SPLIT, OWN, Answer(404))
    lives = []
    stage.beating.remember = lambda _state, _detail, _now, life: lives.append(life)
    stage.run()
    assert [(life.agent_id, life.interval) for life in lives if life.agent_id == "agt_2"] == [
        ("agt_2", None)
    ]
    assert stage.beating.beaten is None
