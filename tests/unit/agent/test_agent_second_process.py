"""Somebody else changed the env file beside the agent that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError, ExitCode

from tests.unit.agent.fakes import refused, said
from tests.unit.agent.stage import ENROLLED, ONLINE, Stage

ROTATED = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_new\n"
REPLACED = "ROLLCALL_AGENT_ID=agt_2\nROLLCALL_AGENT_API_KEY=rca_2\n"


def writes(path: Path, text: str) -> Callable[[], None]:
    def write() -> None:
        path.write_text(text)

    return write


@pytest.mark.parametrize("code", ["key_superseded", "key_revoked"])
@pytest.mark.parametrize("text", [ROTATED, REPLACED])
def test_an_agent_whose_key_ended_goes_on_with_what_is_in_the_file(
    tmp_path: Path, code: str, text: str
) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.wishes.meanwhile = writes(stage.path, text)
    stage.run(refused(401, code), ONLINE)
    first, second, third = stage.beats()
    assert first["instance"] == second["instance"] != third["instance"]
    assert stage.keys()[2] in text
    assert stage.calls("/heartbeat")[2].path.split("/")[4] in text
    assert stage.path.read_text() == text
    assert stage.remembered[-1] == "online"


def test_the_key_of_a_rotation_is_not_overwritten_by_an_older_one(tmp_path: Path) -> None:
    both = ENROLLED + "ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_before\n"
    stage = Stage(tmp_path, text=both)
    stage.plane.meanwhile = writes(stage.path, ROTATED)
    stage.run(refused(401, "key_superseded"), ONLINE)
    assert stage.keys() == ["rca_key", "rca_new"]
    assert stage.path.read_text() == ROTATED


@pytest.mark.parametrize("text", [ENROLLED, "", "ROLLCALL_AGENT_ID='a b'\n"])
def test_a_file_that_knows_nothing_newer_ends_it(tmp_path: Path, text: str) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.wishes.meanwhile = writes(stage.path, text)
    stage.plane.answers += [refused(401, "key_revoked")]
    with pytest.raises(AgentError) as ended:
        stage.beating.run()
    assert ended.value.exit_code is ExitCode.IDENTITY_ENDED


def test_a_key_that_ended_too_ends_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ONLINE)
    stage.wishes.meanwhile = writes(stage.path, ROTATED)
    stage.plane.answers += [refused(401, "key_superseded"), refused(401, "key_revoked")]
    with pytest.raises(AgentError) as ended:
        stage.beating.run()
    assert ended.value.exit_code is ExitCode.IDENTITY_ENDED


def test_a_page_that_says_200_settles_no_rotation(tmp_path: Path) -> None:
    both = ENROLLED + "ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_before\n"
    stage = Stage(tmp_path, said(200, {"status": "ok"}), text=both)
    stage.run()
    assert stage.path.read_text() == both
    assert "accepted" not in stage.wishes.told
