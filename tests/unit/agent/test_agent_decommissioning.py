from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.decommissioning import Decommissioning
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity, Settings

from tests.unit.agent.fakes import Chance, lost, refused, said
from tests.unit.agent.stage import Stage

TEXT = (
    "# our host\nROLLCALL_API_BASE_URL=https://cp.example\n"
    "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
    "ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_before\nOTHER=1\n"
)
AFTER = (
    "# our host\nROLLCALL_API_BASE_URL=https://cp.example\n"
    "# ROLLCALL_AGENT_ID removed: the agent was decommissioned\n"
    "# ROLLCALL_AGENT_API_KEY removed: the agent was decommissioned\n"
    "OTHER=1\n"
)
ENDED = said(200, {"status": "revoked"})


def decommission(
    stage: Stage,
    *answers: Answer | Exception,
    note: str | None = None,
    other: Secret | None = None,
    instance: str | None = None,
) -> None:
    stage.plane.answers = list(answers)
    retry = Retry(stage.clock, Chance(), stage.lines, timeout=60)
    identity = Identity("agt_1", Secret("rca_key"), other)
    ending = Decommissioning(stage.path, stage.plane, retry, stage.lines, instance)
    ending.run(identity, note)


def test_the_agent_ends_first_and_then_its_identity_leaves_the_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    seen: list[str] = []
    stage.plane.meanwhile = lambda: seen.append(stage.path.read_text())
    decommission(stage, ENDED, note="scrapped")
    (call,) = stage.plane.calls
    assert (call.method, call.path) == ("POST", "/api/v1/agents/agt_1/decommission")
    assert call.body == {"note": "scrapped"}
    assert call.bearer == Secret("rca_key")
    assert seen == [TEXT]
    assert stage.path.read_text() == AFTER
    assert Settings.load(stage.path, {}).identity() is None


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    decommission(stage, lost(), Answer(503), ENDED)
    assert stage.path.read_text() == AFTER


def test_an_agent_that_has_ended_before_only_leaves_the_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    decommission(stage, refused(401, "key_revoked"))
    assert stage.path.read_text() == AFTER
    assert "had ended before" in stage.lines.notes[0]


def test_a_superseded_key_gives_way_to_the_other_one_of_a_rotation(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    decommission(stage, refused(401, "key_superseded"), ENDED, other=Secret("rca_before"))
    shown = [call.bearer.reveal() for call in stage.plane.calls if call.bearer]
    assert shown == ["rca_key", "rca_before"]
    assert stage.path.read_text() == AFTER
    assert stage.lines.notes == []


@pytest.mark.parametrize("other", [None, Secret("rca_before")])
def test_superseded_keys_are_no_ended_agent_and_everything_stays(
    tmp_path: Path, other: Secret | None
) -> None:
    stage = Stage(tmp_path, text=TEXT)
    with pytest.raises(AgentError) as refusal:
        decommission(stage, *[refused(401, "key_superseded")] * 2, other=other)
    assert refusal.value.exit_code is ExitCode.REFUSED
    assert stage.path.read_text() == TEXT


def test_it_says_as_which_instance_the_agent_beats_on_this_host(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    decommission(stage, ENDED, instance="instance-of-the-service")
    assert stage.plane.calls[0].body == {"instance": "instance-of-the-service"}


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (refused(401, "key_invalid"), ExitCode.REFUSED),
        (refused(403, "scope_missing"), ExitCode.REFUSED),
        (refused(409, "not_active"), ExitCode.REFUSED),
        (Answer(401, {"message": "Unauthorized"}), ExitCode.UNREACHABLE),
    ],
)
def test_a_refusal_leaves_the_identity_where_it_is(
    tmp_path: Path, answer: Answer, exit_code: ExitCode
) -> None:
    stage = Stage(tmp_path, text=TEXT)
    with pytest.raises(AgentError) as refusal:
        decommission(stage, answer)
    assert refusal.value.exit_code is exit_code
    assert stage.path.read_text() == TEXT


def test_a_file_that_cannot_be_written_is_noticed_before_anything_is_sent(tmp_path: Path) -> None:
    stage = Stage(tmp_path, text=TEXT)
    stage.break_disk()
    with pytest.raises(AgentError, match="nothing was sent") as refusal:
        decommission(stage)
    assert refusal.value.exit_code is ExitCode.UNREADY
    assert stage.plane.calls == []
