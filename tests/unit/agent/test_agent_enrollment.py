from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.enrollment import Ask, Enrolled, Enrollment
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, lost, refused, said

URL = "https://cp.example/prod"
TOKEN = "rce_one"
CREATED = said(201, {"agent_id": "agt_1", "runtime_key": "rca_key", "name": "web-1"})


class Host:
    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "etc" / "agent.env"
        self.clock = FakeClock()
        self.lines = Lines()
        self.plane = ScriptedPlane()

    def write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_text(text)

    def enroll(
        self, *answers: Answer | Exception, token: str = TOKEN, name: str | None = None
    ) -> Enrolled:
        self.plane.answers = list(answers)
        retry = Retry(self.clock, Chance(0.5), self.lines, timeout=120)
        ask = Ask(Secret(token), URL, {"hostname": "web-1"}, name, {"role": "web"})
        return Enrollment(self.path, self.plane, retry, self.lines).run(ask)

    def fails(self, *answers: Answer | Exception, token: str = TOKEN) -> AgentError:
        with pytest.raises(AgentError) as failure:
            self.enroll(*answers, token=token)
        return failure.value

    def keys(self) -> list[str]:
        return [call.headers["Idempotency-Key"] for call in self.plane.calls]

    def get(self, key: str) -> str | None:
        return EnvFile.load(self.path).get(key)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_identity_is_written_and_the_attempt_forgotten(host: Host) -> None:
    enrolled = host.enroll(CREATED)

    assert enrolled.persisted
    assert host.path.read_text() == (
        f"ROLLCALL_API_BASE_URL={URL}\nROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
    )


def test_the_request_says_who_asks_and_holds_no_token_in_its_body(host: Host) -> None:
    host.enroll(CREATED, name="edge")

    (call,) = host.plane.calls
    assert call.path == "/api/v1/agent-enrollment/exchange"
    assert call.body == {"hostname": "web-1", "name": "edge", "labels": {"role": "web"}}
    assert call.bearer == Secret("rce_one")
    assert 22 <= len(call.headers["Idempotency-Key"]) <= 128


def test_the_attempt_is_on_disk_before_the_token_is_shown_to_anybody(host: Host) -> None:
    seen: list[str] = []
    host.plane.meanwhile = lambda: seen.append(host.path.read_text())

    host.enroll(CREATED)

    assert f"ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY={host.keys()[0]}\n" in seen[0]
    assert f"ROLLCALL_API_BASE_URL={URL}\n" in seen[0]
    assert "rce_one" not in seen[0]


def test_running_it_again_uses_the_same_key_with_the_same_token(host: Host) -> None:
    host.fails(*[lost()] * 50)
    host.enroll(CREATED)
    assert len(set(host.keys())) == 1


def test_another_token_gets_another_key_and_the_lost_attempt_is_named(host: Host) -> None:
    host.fails(*[lost()] * 50)
    host.enroll(CREATED, token="rce_two")
    *_, first, second = host.keys()
    assert first != second
    assert "another token was interrupted" in host.lines.warnings[0]


def test_an_attempt_that_was_refused_is_no_interrupted_one(host: Host) -> None:
    host.fails(refused(410, "token_expired"))
    assert "ROLLCALL_ENROLLMENT" not in host.path.read_text()
    host.enroll(CREATED, token="rce_two")
    assert host.lines.warnings == []


def test_a_refusal_after_a_lost_answer_leaves_the_attempt_open(host: Host) -> None:
    host.fails(lost(), refused(410, "token_expired"))
    assert "ROLLCALL_ENROLLMENT" in host.path.read_text()


def test_an_enrolled_host_asks_nobody(host: Host) -> None:
    host.write("ROLLCALL_AGENT_ID=agt_0\nROLLCALL_AGENT_API_KEY=rca_0\n")
    enrolled = host.enroll()
    assert enrolled.identity.agent_id == "agt_0"
    assert host.plane.calls == []


def test_half_an_identity_is_replaced_in_place(host: Host) -> None:
    host.write("A=1\nROLLCALL_AGENT_API_KEY=\nB=2\n")
    host.enroll(CREATED)
    assert host.path.read_text().splitlines()[:3] == [
        "A=1",
        "ROLLCALL_AGENT_API_KEY=rca_key",
        "B=2",
    ]


def test_the_tokens_line_becomes_a_comment(host: Host) -> None:
    host.write("A=1\nROLLCALL_TOKEN=rce_one\n# mine\n")
    host.enroll(CREATED)
    lines = host.path.read_text().splitlines()
    assert lines[:3] == ["A=1", "# ROLLCALL_TOKEN consumed during enrollment", "# mine"]


def test_a_token_that_was_not_used_is_not_called_consumed(host: Host) -> None:
    host.write("ROLLCALL_TOKEN=rce_other\n")
    host.enroll(CREATED)
    assert host.get("ROLLCALL_TOKEN") == "rce_other"
    assert "which was not used" in host.lines.warnings[0]


@pytest.mark.parametrize("passing", [lost(), Answer(503), Answer(429), Answer(500), Answer(504)])
def test_what_may_pass_is_tried_again_with_the_same_key(
    host: Host, passing: Answer | Exception
) -> None:
    host.enroll(passing, passing, CREATED)
    assert host.clock.sleeps == [0.25, 0.5]
    assert len(set(host.keys())) == 1


def test_retry_after_is_waited_for_and_the_jitter_comes_on_top(host: Host) -> None:
    host.enroll(refused(503, "contention", retry_after=7), CREATED)
    assert host.clock.sleeps == [7.25]


def test_a_wait_beyond_the_time_is_not_begun(host: Host) -> None:
    failure = host.fails(refused(503, "contention", retry_after=600))
    assert failure.exit_code is ExitCode.UNREACHABLE
    assert "asks to wait 600 s" in failure.line
    assert "again is safe" in failure.line
    assert host.clock.sleeps == []


def test_it_gives_up_after_its_time_and_says_that_running_it_again_is_safe(host: Host) -> None:
    failure = host.fails(*[lost()] * 100)
    assert failure.exit_code is ExitCode.UNREACHABLE
    assert "again is safe" in failure.line
    assert sum(host.clock.sleeps) == pytest.approx(120)


@pytest.mark.parametrize(
    ("answer", "exit_code", "next_step"),
    [
        (refused(410, "token_expired"), ExitCode.REFUSED, "mint a new"),
        (refused(410, "token_spent"), ExitCode.REFUSED, "mint a new"),
        (refused(410, "token_revoked"), ExitCode.REFUSED, "mint a new"),
        (refused(401, "credential_invalid"), ExitCode.REFUSED, "copied whole"),
        (refused(401, "wrong_credential_family"), ExitCode.REFUSED, "rce_"),
        (refused(403, "hostname_mismatch"), ExitCode.REFUSED, "minted for"),
        (refused(403, "source_address_refused"), ExitCode.REFUSED, "network"),
        (refused(409, "name_taken"), ExitCode.REFUSED, "--name"),
        (refused(409, "replay_window_closed"), ExitCode.REFUSED, "revoke it"),
        (refused(400, "never_heard_of"), ExitCode.REFUSED, "ask an operator"),
        (refused(401, "key_revoked"), ExitCode.IDENTITY_ENDED, "ask an operator"),
        (Answer(403, {"message": "Forbidden"}), ExitCode.UNREACHABLE, "ROLLCALL_API_BASE_URL"),
        (Answer(200), ExitCode.UNREACHABLE, "ROLLCALL_API_BASE_URL"),
        (Answer(301), ExitCode.UNREACHABLE, "ROLLCALL_API_BASE_URL"),
    ],
)
def test_a_refusal_is_one_line_with_its_code_and_the_next_step(
    host: Host, answer: Answer, exit_code: ExitCode, next_step: str
) -> None:
    failure = host.fails(answer)
    assert failure.exit_code is exit_code
    assert next_step in failure.line
    assert (answer.code or str(answer.status)) in failure.line
    assert "\n" not in failure.line
    assert host.clock.sleeps == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"agent_id": "agt_1"},
        {"agent_id": "agt_1", "runtime_key": 7},
        {"agent_id": "agt_1", "runtime_key": "rca_k\nROLLCALL_ALLOW_HTTP=1"},
        {"agent_id": "../..", "runtime_key": "rca_'; rm"},
    ],
)
def test_an_identity_that_cannot_be_stored_as_it_is_is_not_stored(
    host: Host, body: dict[str, object]
) -> None:
    assert host.fails(said(201, body)).exit_code is ExitCode.UNREACHABLE
    assert host.get("ROLLCALL_AGENT_ID") is None
    assert host.get("ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY") is not None


def test_an_unwritable_place_is_noticed_before_the_token_is_spent(host: Host) -> None:
    host.path.parent.write_text("a file where the folder should be")
    failure = host.fails()
    assert failure.exit_code is ExitCode.UNREADY
    assert "was not spent" in failure.line
    assert host.plane.calls == []


def test_an_identity_that_cannot_be_written_loses_nothing(host: Host) -> None:
    aside = host.path.with_suffix(".aside")

    def lose_write_access() -> None:
        host.path.rename(aside)
        host.path.mkdir()

    host.plane.meanwhile = lose_write_access

    assert not host.enroll(CREATED).persisted
    assert "could not be written" in host.lines.warnings[0]
    assert "rca_key" not in host.lines.warnings[0]

    host.path.rmdir()
    aside.rename(host.path)
    host.plane.meanwhile = lambda: None
    assert host.enroll(CREATED).persisted
    assert len(set(host.keys())) == 1
    assert [path.name for path in host.path.parent.iterdir()] == ["agent.env"]


@pytest.mark.parametrize("name", ["heartbeat_interval_seconds", "heartbeatIntervalSeconds"])
@pytest.mark.parametrize(("said_interval", "interval"), [(30, 30), (0, None), ("30", None)])
def test_the_interval_of_the_answer_counts_until_the_first_beat(
    host: Host, name: str, said_interval: object, interval: float | None
) -> None:
    created = said(201, {"agent_id": "agt_1", "runtime_key": "rca_key", name: said_interval})
    assert host.enroll(created).interval == interval
