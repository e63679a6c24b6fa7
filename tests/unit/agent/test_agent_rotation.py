from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.answers import Answer
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.rotation import is_due, rotation_time
from rollcall_agent.secret import Secret

from tests.unit.agent.fakes import lost, refused, said
from tests.unit.agent.stage import ENROLLED, ONLINE, Stage, online

ROTATE = online(rotate_key=True)
NEW_KEY = said(201, {"runtime_key": "rca_new", "runtime_key_issued_at": "2026-01-01T00:00:00Z"})
BOTH = "ROLLCALL_AGENT_API_KEY=rca_new\nROLLCALL_AGENT_PREVIOUS_API_KEY=rca_key\n"
BOTH_KEYS = f"ROLLCALL_AGENT_ID=agt_1\n{BOTH}"
TURNED_KEYS = (
    "ROLLCALL_AGENT_ID=agt_1\n"
    "ROLLCALL_AGENT_API_KEY=rca_key\nROLLCALL_AGENT_PREVIOUS_API_KEY=rca_new\n"
)
SETTLED = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_new\n"


@given(st.text(), st.floats(0, 2e9), st.floats(1, 1e8))
def test_a_key_is_due_between_half_and_nine_tenths_of_its_life(
    key: str, issued: float, life: float
) -> None:
    due = rotation_time(Secret(key), issued, issued + life)
    assert issued + 0.4999 * life <= due <= issued + 0.9001 * life


def test_a_restart_does_not_draw_again_and_keys_are_spread() -> None:
    times = [rotation_time(Secret(f"rca_{number}"), 0, 100) for number in range(1000)]
    assert times == [rotation_time(Secret(f"rca_{number}"), 0, 100) for number in range(1000)]
    assert min(times) < 52
    assert max(times) > 88
    assert 68 < sum(times) / 1000 < 72


@pytest.mark.parametrize(
    ("server_time", "due"),
    [("2026-01-01T11:59:00Z", False), ("2026-01-01T21:37:00+00:00", True)],
)
def test_it_goes_by_the_control_planes_clock_and_not_by_the_hosts(
    server_time: str, due: bool
) -> None:
    answer = online(
        runtime_key_issued_at="2026-01-01T00:00:00Z",
        runtime_key_expires_at="2026-01-02T00:00:00Z",
        server_time=server_time,
    )
    assert is_due(answer, Secret("rca_key"), now=0 if due else 4e9) is due


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"runtime_key_issued_at": "2026-01-01T00:00:00Z"},
        {"runtime_key_issued_at": "yesterday", "runtime_key_expires_at": "tomorrow"},
        {"runtime_key_issued_at": 1, "runtime_key_expires_at": 2},
        {"runtime_key_issued_at": "2026-01-01T00:00:00", "runtime_key_expires_at": "2026-01-02"},
        {
            "runtime_key_issued_at": "2026-01-02T00:00:00Z",
            "runtime_key_expires_at": "2026-01-01T00:00:00Z",
        },
    ],
)
def test_times_that_say_nothing_rotate_nothing(times: dict[str, object]) -> None:
    assert not is_due(online(**times), Secret("rca_key"), now=4e9)


def test_both_keys_are_on_disk_in_one_rename_and_the_old_one_goes_when_the_new_is_accepted(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ROTATE, NEW_KEY)
    seen: list[str] = []
    stage.plane.meanwhile = lambda: seen.append(stage.path.read_text())

    stage.run(ONLINE, ONLINE)

    # As the first beat, the rotation, the second beat, the third beat, the end saw it.
    assert seen == [ENROLLED, ENROLLED, BOTH_KEYS, SETTLED, SETTLED]
    assert stage.keys() == ["rca_key", "rca_new", "rca_new"]
    (call,) = stage.calls("/runtime-key/rotate")
    assert (call.method, call.path) == ("POST", "/api/v1/agents/agt_1/runtime-key/rotate")
    assert call.bearer == Secret("rca_key")
    # The new key is shown at the next slot, not on top of the beat that brought the rotation about.
    assert stage.clock.sleeps == pytest.approx([60, 60, 60])


def test_a_key_of_the_environment_is_rotated_into_the_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ROTATE, NEW_KEY)
    stage.path.write_text("OTHER=1\n")
    stage.run()
    assert stage.path.read_text() == f"OTHER=1\n{BOTH_KEYS}"


def test_nothing_is_asked_for_while_the_file_cannot_be_written(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ROTATE, ROTATE, ROTATE)
    stage.break_disk()
    stage.run()
    assert stage.calls("/runtime-key/rotate") == []
    assert len(stage.lines.warnings) == 1
    assert stage.path.read_text() == ENROLLED


def test_a_new_key_that_cannot_be_written_is_discarded_and_asked_for_again_later(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ROTATE, NEW_KEY)
    repairs: list[Callable[[], None]] = []
    stage.plane.meanwhile = lambda: (
        repairs.append(stage.break_disk()) if stage.calls("/rotate") and not repairs else None
    )
    stage.run(ROTATE)
    assert stage.keys() == ["rca_key", "rca_key"]
    assert stage.path.read_text() == ENROLLED

    repairs[0]()
    stage.clock.time += 3600
    stage.run(ROTATE, said(201, {"runtime_key": "rca_newer"}), ONLINE)
    assert stage.keys()[-1] == "rca_newer"


@pytest.mark.parametrize(
    "failure",
    [
        lost(),
        Answer(503, retry_after=5),
        refused(429, "rotation_too_soon", retry_after=30),
        refused(401, "key_invalid"),
        said(201, {"runtime_key": "rca_new\nROLLCALL_ALLOW_HTTP=1"}),
        said(201, {}),
        said(201, {"runtime_key": "rca_key"}),
    ],
)
def test_a_rotation_that_fails_keeps_the_key_and_is_tried_again_after_a_minute_or_more(
    tmp_path: Path, failure: Answer | Exception
) -> None:
    stage = Stage(tmp_path, ROTATE, failure)
    stage.clock.sleep = lambda seconds: stage.clock.__setattr__(  # type: ignore[method-assign]
        "time", stage.clock.time + min(seconds, 20)
    )
    stage.run(ROTATE, ROTATE)
    assert len(stage.calls("/rotate")) == 1
    assert set(stage.keys()) == {"rca_key"}
    assert stage.path.read_text() == ENROLLED

    stage.clock.time += 3600
    stage.run(ROTATE, NEW_KEY, ONLINE)
    assert stage.path.read_text() == SETTLED


@pytest.mark.parametrize("code", ["key_superseded", "key_invalid", "key_revoked", "key_expired"])
def test_a_refused_new_key_gives_way_to_the_previous_one(tmp_path: Path, code: str) -> None:
    stage = Stage(tmp_path, refused(401, code), text=BOTH_KEYS)
    seen: list[str] = []
    stage.plane.meanwhile = lambda: seen.append(stage.path.read_text())

    stage.run(ONLINE)

    assert stage.keys() == ["rca_new", "rca_key"]
    assert seen[1] == TURNED_KEYS
    assert stage.path.read_text() == ENROLLED
    first, second = stage.beats()
    assert first["instance"] != second["instance"]


def test_a_passing_refusal_of_the_new_key_strands_nobody_whose_old_key_is_superseded(
    tmp_path: Path,
) -> None:
    stage = Stage(
        tmp_path, refused(401, "key_invalid"), refused(401, "key_superseded"), text=BOTH_KEYS
    )
    stage.run(ONLINE)
    assert stage.keys() == ["rca_new", "rca_key", "rca_new"]
    assert stage.path.read_text() == SETTLED


@pytest.mark.parametrize(
    ("first", "second"),
    [("key_superseded", "key_revoked"), ("key_revoked", "key_revoked")],
)
def test_only_when_both_keys_are_refused_for_good_the_identity_has_ended(
    tmp_path: Path, first: str, second: str
) -> None:
    stage = Stage(tmp_path, refused(401, first), refused(401, second), text=BOTH_KEYS)
    with pytest.raises(AgentError) as ended:
        stage.beating.run()
    assert ended.value.exit_code is ExitCode.IDENTITY_ENDED
    assert stage.path.read_text() == TURNED_KEYS


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, {"message": "Unauthorized"}),
        Answer(401),
        refused(403, "agent_quarantined"),
        refused(404, "agent_not_found"),
        Answer(503),
        lost(),
    ],
)
def test_an_answer_that_is_not_about_the_key_turns_nothing(
    tmp_path: Path, answer: Answer | Exception
) -> None:
    stage = Stage(tmp_path, answer, text=BOTH_KEYS)
    stage.run()
    assert stage.path.read_text() == BOTH_KEYS


def test_an_unwritable_file_does_not_keep_it_from_turning_to_the_key_that_works(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, refused(401, "key_invalid"), text=BOTH_KEYS)
    repair = stage.break_disk()
    stage.run(ONLINE, ONLINE)
    assert stage.keys() == ["rca_new", "rca_key", "rca_key"]
    assert stage.path.read_text() == BOTH_KEYS
    repair()
    stage.run(ONLINE)
    assert stage.path.read_text() == ENROLLED


def test_another_identity_that_was_put_into_the_file_meanwhile_is_not_overwritten(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ROTATE)
    other = "ROLLCALL_AGENT_ID=agt_2\nROLLCALL_AGENT_API_KEY=rca_2\n"
    stage.path.write_text(other)
    stage.run(ONLINE)
    assert stage.path.read_text() == other
    assert stage.calls("/rotate") == []


def test_no_line_that_is_printed_holds_a_key(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ROTATE, NEW_KEY, refused(401, "key_invalid"), ONLINE, ROTATE)
    stage.run(said(201, {"runtime_key": "rca_newer"}), ONLINE)
    said_lines = [*stage.lines.results, *stage.lines.notes, *stage.lines.warnings]
    assert said_lines
    assert not any("rca_" in line for line in said_lines)


def test_what_was_said_of_a_key_before_an_accepted_beat_does_not_end_the_agent_later(
    tmp_path: Path,
) -> None:
    superseded = refused(401, "key_superseded")
    stage = Stage(tmp_path, superseded, ONLINE, superseded, ONLINE, text=BOTH_KEYS)
    # The env file is full while the first of the two is accepted: both keys stay.
    repair = stage.break_disk()
    stage.run()
    repair()
    assert stage.keys() == ["rca_new", "rca_key", "rca_key", "rca_new"]


QUARANTINED = refused(
    403,
    "agent_quarantined",
    runtime_key_issued_at="2026-01-01T00:00:00Z",
    runtime_key_expires_at="2026-01-02T00:00:00Z",
    server_time="2026-01-01T22:00:00Z",
)


def test_a_quarantined_agent_rotates_a_key_that_is_due_once_and_keeps_both(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, QUARANTINED, NEW_KEY, QUARANTINED, QUARANTINED)
    stage.run()
    (call,) = stage.calls("/rotate")
    assert call.body == {"instance": stage.beats()[0]["instance"]}
    assert stage.path.read_text() == BOTH_KEYS
    assert stage.keys() == ["rca_key", "rca_new", "rca_new"]
    # Released.
    stage.run(ONLINE)
    assert stage.path.read_text() == SETTLED


def test_a_quarantined_agent_leaves_a_key_alone_that_is_not_due(tmp_path: Path) -> None:
    early = refused(
        403,
        "agent_quarantined",
        runtime_key_issued_at="2026-01-01T00:00:00Z",
        runtime_key_expires_at="2026-01-02T00:00:00Z",
        server_time="2026-01-01T11:00:00Z",
    )
    stage = Stage(tmp_path, early, refused(403, "agent_quarantined"))
    stage.run()
    assert stage.calls("/rotate") == []


@pytest.mark.parametrize("path", ["/rotate", "/facts"])
def test_a_copy_that_is_to_split_off_waits_for_its_next_beat_to_say_so(
    tmp_path: Path, path: str
) -> None:
    wish = ROTATE if path == "/rotate" else online(facts_wanted=True)
    stage = Stage(tmp_path, wish, refused(409, "agent_split"))
    stage.run(ONLINE)
    assert len(stage.calls(path)) == 1
    assert stage.calls("/split") == []
    assert stage.path.read_text() == ENROLLED
