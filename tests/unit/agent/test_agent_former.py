"""The identity that a host had before it enrolled again ends, or a person is told how to end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.client import Caller
from rollcall_agent.enrollment import Ask, Enrolled, Enrollment
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError
from rollcall_agent.former import FORMER_ID, Former, FormerEnding
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity, Settings

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, lost, refused, said

URL = "https://cp.example/prod"
OTHER_URL = "https://former.example/prod"
TEXT = (
    f"ROLLCALL_API_BASE_URL={URL}\nROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n"
    "ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_0\n"
)
CREATED = said(201, {"agent_id": "agt_2", "runtime_key": "rca_2", "name": "web-1-x7"})
ENDED = said(200, {"agent_id": "agt_1", "status": "revoked", "successor_name": "web-1"})
TAKEN = refused(409, "name_taken")


class Host:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "agent.env"
        self.path.write_text(TEXT)
        self.plane, self.lines, self.clock = ScriptedPlane(), Lines(), FakeClock()
        self.retry = Retry(self.clock, Chance(0.5), self.lines, timeout=20)
        self.connected: list[str] = []

    def enroll(
        self, *answers: Answer | Exception, name: str | None = None, former_url: str = URL
    ) -> Enrolled:
        self.plane.answers = list(answers)
        identity = Settings.load(self.path, {}).identity()
        ask = Ask(Secret("rce_one"), URL, {"hostname": "web-1"}, name, {}, identity, former_url)
        return Enrollment(self.path, self.plane, self.retry, self.lines).run(ask)

    def end(
        self, *answers: Answer | Exception, has_machine_id: bool = True, was_told: bool = False
    ) -> str | None:
        self.plane.answers = list(answers)
        self.plane.calls.clear()

        @contextmanager
        def connect(url: str) -> Iterator[Caller]:
            self.connected.append(url)
            yield self.plane

        ending = FormerEnding(
            self.path,
            URL,
            connect,
            self.retry,
            self.lines,
            lambda _: "one",
            has_machine_id,
            was_told,
        )
        identity = Settings.load(self.path, {}).identity()
        assert identity is not None
        return ending.run(identity)

    @property
    def noted(self) -> Former | None:
        return Former.read(EnvFile.load(self.path))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_former_is_noted_by_the_rename_that_writes_the_new_identity(host: Host) -> None:
    seen: list[str] = []
    host.plane.meanwhile = lambda: seen.append(host.path.read_text())
    host.enroll(CREATED)
    assert "ROLLCALL_AGENT_ID=agt_1\n" in seen[0]
    assert FORMER_ID not in seen[0]
    assert "ROLLCALL_AGENT_ID=agt_2\n" in host.path.read_text()
    former = Identity("agt_1", Secret("rca_1"), Secret("rca_0"))
    assert host.noted == Former(former, URL, leaves_name=True)


def test_the_former_ends_by_its_own_key_and_names_the_new_agent(host: Host) -> None:
    host.enroll(CREATED)
    assert host.end(ENDED) == "web-1"
    (call,) = host.plane.calls
    assert (call.path, call.bearer) == ("/api/v1/agents/agt_1/decommission", Secret("rca_1"))
    assert call.body is not None
    assert call.body["successor"] == {"agent_id": "agt_2", "runtime_key": "rca_2"}
    assert call.body["instance"] == "one"
    assert host.noted is None
    assert "FORMER" not in host.path.read_text()
    assert "TOKEN_SHA256" not in host.path.read_text()
    assert host.lines.warnings == []


def test_nothing_is_asked_where_no_former_is_noted(host: Host) -> None:
    assert host.end() is None
    assert host.connected == []


@pytest.mark.parametrize("gone", [refused(401, "key_revoked"), refused(404, "agent_not_found")])
def test_a_former_that_ended_before_is_only_forgotten(host: Host, gone: Answer) -> None:
    host.enroll(CREATED)
    host.end(gone)
    assert (host.noted, host.lines.warnings) == (None, [])


def test_the_other_key_of_a_rotation_ends_it_too(host: Host) -> None:
    host.enroll(CREATED)
    assert host.end(refused(401, "key_superseded"), ENDED) == "web-1"
    shown = [call.bearer.reveal() for call in host.plane.calls if call.bearer]
    assert shown == ["rca_1", "rca_0"]


@pytest.mark.parametrize(
    "refusal",
    [refused(403, "scope_missing"), refused(401, "key_expired"), refused(409, "successor_refused")],
)
def test_a_refusal_is_told_with_the_one_command_and_not_repeated(
    host: Host, refusal: Answer
) -> None:
    host.enroll(CREATED)
    # A key that is refused gives way to the other one of a rotation.
    assert host.end(*[refusal] * (2 if refusal.status == 401 else 1)) is None
    (warning,) = host.lines.warnings
    assert warning.endswith("ends it with: rollcall agent replace agt_2 --former agt_1")
    assert host.noted is None


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (refused(403, "agent_quarantined"), "rollcall agent release agt_1 keep"),
        (refused(409, "agent_split"), "goes on as the other copy"),
        (refused(409, "not_same_machine"), "this host may be a copy"),
    ],
)
def test_where_this_host_may_be_the_copy_the_original_is_left_alone(
    host: Host, refusal: Answer, words: str
) -> None:
    host.enroll(CREATED)
    assert host.end(refusal) is None
    (warning,) = host.lines.warnings
    assert words in warning
    assert "--former" not in warning
    assert len(host.plane.calls) == 1
    assert host.noted is None


def test_without_a_machine_id_the_command_is_the_one_that_needs_none(host: Host) -> None:
    host.enroll(CREATED)
    host.end(refused(403, "scope_missing"), has_machine_id=False)
    assert host.lines.warnings[0].endswith("rollcall agent decommission agt_1")


@pytest.mark.parametrize("answer", [lost(), Answer(502), Answer(403, {"message": "Forbidden"})])
def test_where_no_answer_comes_the_next_start_tries_again(
    host: Host, answer: Answer | Exception
) -> None:
    host.enroll(CREATED)
    host.end(*[answer] * 50)
    (warning,) = host.lines.warnings
    assert "next start of the agent tries again" in warning
    assert "Running the same command again" not in warning
    assert "rollcall agent replace agt_2 --former agt_1" in warning
    assert host.noted is not None
    assert host.end(ENDED) == "web-1"
    assert host.noted is None


@pytest.mark.parametrize("answer", [lost(), Answer(502), Answer(403, {"message": "Forbidden"})])
def test_where_it_was_told_just_before_a_missing_answer_is_not_told_again(
    host: Host, answer: Answer | Exception
) -> None:
    host.enroll(CREATED)
    host.end(*[answer] * 50, was_told=True)
    assert host.lines.warnings == []
    assert host.noted is not None
    assert host.end(refused(403, "scope_missing"), was_told=True) is None
    assert len(host.lines.warnings) == 1


def test_the_same_command_again_asks_for_no_second_identity(host: Host) -> None:
    host.enroll(CREATED)
    again = host.enroll()
    assert again.identity.agent_id == "agt_2"
    assert host.noted is not None


def test_another_token_gives_the_former_up_with_a_word(host: Host) -> None:
    host.enroll(CREATED)
    host.path.write_text(host.path.read_text().replace("SHA256=", "SHA256=0"))
    host.enroll(said(201, {"agent_id": "agt_3", "runtime_key": "rca_3", "name": "web-1-y"}))
    assert "rollcall agent decommission agt_1" in host.lines.warnings[0]
    assert host.noted is not None
    assert host.noted.identity.agent_id == "agt_2"


def test_a_control_plane_that_knows_no_successor_ends_the_former_all_the_same(host: Host) -> None:
    host.enroll(CREATED)
    ended = said(200, {"agent_id": "agt_1", "status": "revoked"})
    host.end(refused(400, "validation_failed"), ended)
    assert "successor" not in (host.plane.calls[-1].body or {})
    assert (host.noted, host.lines.warnings) == (None, [])


def test_a_name_that_the_former_has_is_left_to_the_new_agent(host: Host) -> None:
    enrolled = host.enroll(TAKEN, CREATED, name="Web-1")
    first, second = host.plane.calls
    assert "name" in (first.body or {})
    assert "name" not in (second.body or {})
    assert first.headers == second.headers
    assert enrolled.name == "web-1-x7"
    assert host.noted is not None
    assert host.noted.leaves_name


def test_a_name_that_was_free_stays(host: Host) -> None:
    host.enroll(said(201, {"agent_id": "agt_2", "runtime_key": "r", "name": "db-1"}), name="db-1")
    host.end(said(200, {"agent_id": "agt_1", "status": "revoked", "successor_name": "db-1"}))
    body: Any = host.plane.calls[-1].body
    assert body["successor"]["keeps_own_name"] is True
    assert "keeps the name" not in host.lines.notes[-1]


def test_a_taken_name_is_refused_where_nothing_is_replaced(host: Host) -> None:
    host.path.write_text("")
    with pytest.raises(AgentError, match="name_taken"):
        host.enroll(TAKEN, name="web-1")


def test_of_another_control_plane_the_former_only_ends(host: Host) -> None:
    host.path.write_text(TEXT.replace(URL, OTHER_URL))
    seen: list[str] = []
    host.plane.meanwhile = lambda: seen.append(host.path.read_text())
    host.enroll(CREATED, former_url=OTHER_URL)
    # Until the new identity is there, the former's own control plane is the one to beat to.
    assert f"ROLLCALL_API_BASE_URL={OTHER_URL}\n" in seen[0]
    assert f"ROLLCALL_API_BASE_URL={URL}\n" in host.path.read_text()
    host.end(said(200, {"agent_id": "agt_1", "status": "revoked"}))
    assert host.connected == [OTHER_URL]
    assert "successor" not in (host.plane.calls[-1].body or {})
