"""An identity that could not be written lives in memory until it can be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from rollcall_agent.enrollment import Ask, Enrollment
from rollcall_agent.identity_file import CannotWriteError
from rollcall_agent.persistence import Persistence
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, said
from tests.unit.agent.stage import ONLINE, Stage, online


class Disk:
    """Refuses a number of writes."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.writes = 0

    def write(self) -> None:
        self.writes += 1
        if self.writes <= self.refusals:
            raise CannotWriteError("No space left on device")


def test_a_write_that_soon_works_again_is_repeated_for_ten_seconds_before_anything_else() -> None:
    clock, lines, disk = FakeClock(), Lines(), Disk(refusals=3)
    persistence = Persistence(clock, Chance(0.5), lines)
    persistence.owe(disk.write)
    assert not persistence.is_owed
    assert sum(clock.sleeps) == pytest.approx(5)
    assert lines.warnings == []
    assert "in the env file now" in lines.results[0]


def test_after_ten_seconds_it_goes_on_in_memory_and_tries_for_ever_ever_more_rarely() -> None:
    clock, lines, disk = FakeClock(), Lines(), Disk(refusals=10**9)
    persistence = Persistence(clock, Chance(1.0), lines)
    persistence.owe(disk.write)
    assert persistence.is_owed
    assert sum(clock.sleeps) == pytest.approx(10)
    (warning,) = lines.warnings
    assert "in memory alone" in warning
    tried = []
    for _ in range(4000):
        clock.time += 5
        before = disk.writes
        persistence.settle()
        tried += [clock.time] * (disk.writes - before)
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert gaps[:4] == [60, 120, 240, 480]
    assert set(gaps[5:]) == {900}
    assert len(lines.warnings) == 1


def test_what_is_written_is_not_written_again() -> None:
    clock, disk = FakeClock(), Disk(refusals=0)
    persistence = Persistence(clock, Chance(), Lines())
    persistence.owe(disk.write)
    clock.time += 10_000
    persistence.settle()
    assert disk.writes == 1


def test_an_enrollment_that_could_not_be_written_is_written_later_with_the_token_commented_out(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, text="ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n")
    stage.path.write_text("ROLLCALL_TOKEN=rce_one\n")
    plane = ScriptedPlane(said(201, {"agent_id": "agt_1", "runtime_key": "rca_key", "name": "w"}))
    enrollment = Enrollment(
        stage.path, plane, Retry(stage.clock, Chance(), stage.lines, 120), stage.lines
    )
    ask = Ask(Secret("rce_one"), "https://cp.example", {"hostname": "w"})
    repairs: list[Callable[[], None]] = []
    plane.meanwhile = lambda: repairs.append(stage.break_disk())

    enrolled = enrollment.run(ask)
    assert not enrolled.persisted
    stage.persistence.owe(lambda: enrollment.persist(ask, enrolled.identity))
    # While it is owed no key is rotated, and the beats say that it is not on disk.
    stage.run(online(rotate_key=True))
    assert stage.beats()[0]["unpersisted"] is True
    assert stage.calls("/rotate") == []

    repairs[0]()
    stage.clock.time += 900
    stage.run(ONLINE)

    assert stage.beats()[-1]["unpersisted"] is False
    assert stage.lines_of_file() == [
        "# ROLLCALL_TOKEN consumed during enrollment",
        "ROLLCALL_API_BASE_URL=https://cp.example",
        "ROLLCALL_AGENT_ID=agt_1",
        "ROLLCALL_AGENT_API_KEY=rca_key",
    ]
    assert any("in the env file now" in line for line in stage.lines.results)


def test_no_key_is_rotated_while_a_later_write_would_bring_the_old_one_back(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, online(rotate_key=True))
    disk = Disk(refusals=10)
    # It works again before it is tried again: only then could a rotation get in between.
    stage.persistence.owe(disk.write)
    stage.run()
    assert disk.writes == 7
    assert stage.calls("/rotate") == []


def test_a_lucky_draw_does_not_hammer_a_full_disk() -> None:
    clock, disk = FakeClock(), Disk(refusals=10**9)
    persistence = Persistence(clock, Chance(0.0), Lines())
    persistence.owe(disk.write)
    before = disk.writes
    clock.time += 4.9
    persistence.settle()
    assert disk.writes == before
    clock.time += 0.2
    persistence.settle()
    assert disk.writes == before + 1
