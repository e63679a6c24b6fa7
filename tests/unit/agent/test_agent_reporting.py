"""Facts go beside the heartbeat and never disturb it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.secret import Secret

from tests.unit.agent.fakes import lost, refused, said
from tests.unit.agent.stage import ONLINE, Stage, online

WANTED = online(facts_wanted=True)
TAKEN = said(200, {"facts_sha256": "0" * 64, "changed": True})


def test_each_beat_names_the_digest_of_the_facts(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE, ONLINE)
    stage.run()
    assert [beat["facts"] for beat in stage.beats()] == ["0" * 64, "0" * 64]
    assert stage.calls("/facts") == []


def test_they_are_gathered_at_the_start_and_every_ten_minutes(tmp_path: Path) -> None:
    stage = Stage(tmp_path, *[ONLINE] * 21)
    stage.run()
    # At 0, 10 and 20 minutes of 22 beats, one a minute.
    assert stage.facts.asked == 3


def test_they_are_sent_where_the_answer_asks_for_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path, WANTED, TAKEN)
    stage.run(ONLINE)
    (call,) = stage.calls("/facts")
    assert (call.method, call.path) == ("PUT", "/api/v1/agents/agt_1/facts")
    assert call.body == {
        "facts_sha256": "0" * 64,
        "facts": {"hostname": "web-1"},
        "instance": stage.beats()[0]["instance"],
    }
    assert call.bearer == Secret("rca_key")


@pytest.mark.parametrize(
    "failure", [lost(), Answer(503), refused(429, "facts_too_soon", retry_after=90), Answer(404)]
)
def test_facts_that_nobody_takes_disturb_no_beat_and_are_sent_later(
    tmp_path: Path, failure: Answer | Exception
) -> None:
    stage = Stage(tmp_path, WANTED, failure)
    stage.run()
    assert stage.clock.sleeps == pytest.approx([60])
    assert stage.remembered == ["online"]
    assert len(stage.lines.warnings) == 1

    stage.clock.time += 200
    stage.run(WANTED, TAKEN)
    assert len(stage.calls("/facts")) == 2


def test_a_wait_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    stage = Stage(tmp_path, WANTED, refused(429, "facts_too_soon", retry_after=90))
    stage.run(WANTED, WANTED)
    assert len(stage.calls("/facts")) == 1


def test_a_host_whose_facts_cannot_be_gathered_beats_without_them(tmp_path: Path) -> None:
    stage = Stage(tmp_path, WANTED, WANTED)
    stage.facts.error = PermissionError("/proc is somebody else's")
    stage.run()
    assert all("facts" not in beat for beat in stage.beats())
    assert len(stage.lines.warnings) == 1


def test_facts_that_cannot_be_gathered_any_more_stay_as_they_were(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.run()
    stage.facts.error = RuntimeError()
    stage.clock.time += 600
    stage.run(ONLINE)
    assert stage.facts.asked == 2
    assert stage.beats()[-1]["facts"] == "0" * 64


@pytest.mark.parametrize("status", [400, 413])
def test_facts_that_nobody_will_ever_take_are_not_named_again_until_they_change(
    tmp_path: Path, status: int
) -> None:
    stage = Stage(tmp_path, WANTED, refused(status, "malformed"), WANTED, WANTED)
    stage.run()
    assert [beat.get("facts") for beat in stage.beats()] == ["0" * 64, None, None]
    assert len(stage.calls("/facts")) == 1
    assert len(stage.lines.warnings) == 1

    stage.facts.sha256 = "1" * 64
    stage.clock.time += 600
    stage.run(WANTED, TAKEN)
    assert stage.beats()[-1]["facts"] == "1" * 64
    assert len(stage.calls("/facts")) == 2
