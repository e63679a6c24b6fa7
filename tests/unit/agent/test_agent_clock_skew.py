"""A wrong clock is told in words and seconds, once until it was right again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.clock_skew import SkewWatch
from rollcall_agent.doctor.check import failed, ok

from tests.unit.agent.fakes import Lines, said
from tests.unit.agent.stage import Stage, online

NOW = 1_000_000.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (NOW - 3600, "This host's clock is 3600 s ahead of the control plane's."),
        (NOW + 86400, "This host's clock is 86400 s behind the control plane's."),
        (NOW - 61, "61 s ahead"),
        (NOW - 60, None),
        (NOW + 60, None),
    ],
)
def test_the_difference_is_told_where_it_is_worth_a_word(there: float, words: str | None) -> None:
    lines = Lines()
    SkewWatch(lines).look(said(200, {"server_time": at(there)}), NOW)
    assert [words is not None and words in warning for warning in lines.warnings] == (
        [True] if words else []
    )
    assert all("Next: set the clock" in warning for warning in lines.warnings)


@pytest.mark.parametrize("time", [None, 7, "", "yesterday", "2026-01-01T00:00:00", "9" * 400])
def test_an_answer_that_names_no_time_says_nothing(time: object) -> None:
    lines = Lines()
    SkewWatch(lines).look(Answer(200, {"server_time": time}), NOW)
    assert lines.warnings == []


def test_it_is_told_once_until_the_clock_was_right(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    now = stage.clock.now()
    wrong = [online(server_time=at(now - 7200))] * 3
    right = online(server_time=at(now + 4 * 60))
    stage.run(*wrong, right, *wrong)
    told = [line for line in stage.lines.warnings if "clock" in line]
    assert len(told) == 2
    assert "s ahead of the control plane's" in told[0]


@pytest.mark.parametrize("text", ["It ended.", "It ended", "ask an operator.", "one, two, ..."])
def test_a_line_of_the_doctor_ends_with_one_full_stop(text: str) -> None:
    for line in (ok("x", text).line(), failed("x", text, text).line()):
        assert line.endswith(text if text.endswith(".") else f"{text}.")
        assert not line.endswith("operator..")
        assert "operator.. " not in line
        assert "ended.. " not in line
