from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity
from rollcall_agent.upload import POLL, Artifact, Upload, Uploaded

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, lost, refused, said

PRESIGNED = said(
    201,
    {
        "artifact_id": "art_1",
        "status": "pending",
        "deduplicated": False,
        "upload": {"url": "https://store.example/", "fields": {"key": "k"}},
    },
)
TAKEN = Answer(204)
PENDING = said(200, {"artifact_id": "art_1", "status": "pending"})
STORED = said(200, {"artifact_id": "art_1", "status": "stored"})


class Sender:
    def __init__(self, tmp_path: Path, *answers: Answer | Exception) -> None:
        self.path = tmp_path / "dump.json"
        self.path.write_bytes(b"{}")
        self.plane = ScriptedPlane(*answers)
        self.clock = FakeClock()
        self.progress: list[int] = []

    def upload(self) -> Uploaded:
        say, chance = Lines(), Chance(1.0)
        upload = Upload(
            Identity("agt_1", Secret("rca_key")),
            self.plane,
            sending=Retry(self.clock, chance, say, timeout=120),
            settling=Retry(self.clock, chance, say, timeout=120, backoff=POLL),
            progress=self.progress.append,
        )
        return upload.run(Artifact.of(self.path, "state_snapshot", None, {"case": "7"}))

    def fails(self) -> AgentError:
        with pytest.raises(AgentError) as failure:
            self.upload()
        return failure.value

    def requests(self) -> list[tuple[str, str]]:
        return [
            (call.method, call.path.removeprefix("/api/v1/agents")) for call in self.plane.calls
        ]


def test_a_file_is_announced_posted_and_seen_stored(tmp_path: Path) -> None:
    sender = Sender(tmp_path, PRESIGNED, TAKEN, PENDING, PENDING, STORED)

    assert sender.upload() == Uploaded("art_1", deduplicated=False)

    assert sender.plane.calls[0].body == {
        "kind": "state_snapshot",
        "filename": "dump.json",
        "size": 2,
        "sha256": hashlib.sha256(b"{}").hexdigest(),
        "content_type": "application/json",
        "metadata": {"case": "7"},
    }
    url, form = sender.plane.forms[0]
    assert (url, dict(form.fields)) == ("https://store.example/", {"key": "k"})
    assert sender.requests()[1:] == [("GET", "/agt_1/artifacts/art_1")] * 3
    assert sender.clock.sleeps == [0.5, 1.0]


def test_a_content_type_cannot_smuggle_a_header_into_the_form(tmp_path: Path) -> None:
    for bad in ("", "text", "text/plain\r\nX: y", "text/plain; a\nb", "té/xt", "text/html", "*/*"):
        with pytest.raises(AgentError, match="--content-type"):
            Artifact.of(tmp_path / "missing", "state_snapshot", bad, {})


def test_known_content_is_not_sent_again(tmp_path: Path) -> None:
    known = said(200, {"artifact_id": "art_0", "status": "stored", "deduplicated": True})
    sender = Sender(tmp_path, known)
    assert sender.upload() == Uploaded("art_0", deduplicated=True)
    assert sender.plane.forms == []


@pytest.mark.parametrize("failure", [lost("the connection broke"), Answer(503), Answer(500)])
def test_each_attempt_asks_for_a_new_presigned_post(
    tmp_path: Path, failure: Answer | Exception
) -> None:
    sender = Sender(tmp_path, PRESIGNED, failure, PRESIGNED, TAKEN, STORED)
    assert sender.upload().artifact_id == "art_1"
    assert [method for method, _ in sender.requests()] == ["POST", "POST", "GET"]
    assert sender.progress[:2] == [0, 0]


def test_retry_after_of_the_control_plane_is_honoured(tmp_path: Path) -> None:
    sender = Sender(
        tmp_path, refused(429, "too_many_artifacts", retry_after=9), PRESIGNED, TAKEN, STORED
    )
    sender.upload()
    assert sender.clock.sleeps == [9.5]


def test_a_policy_that_expired_while_sending_is_renewed(tmp_path: Path) -> None:
    sender = Sender(tmp_path, PRESIGNED, Answer(403), PRESIGNED, TAKEN, STORED)
    slow = iter([61, 0])
    sender.plane.meanwhile_posting = lambda: sender.clock.sleep(next(slow))
    assert sender.upload().artifact_id == "art_1"


@pytest.mark.parametrize("status", [400, 403, 301])
def test_a_lasting_refusal_of_the_object_store_ends_the_upload(tmp_path: Path, status: int) -> None:
    failure = Sender(tmp_path, PRESIGNED, Answer(status)).fails()
    assert failure.exit_code is ExitCode.REFUSED
    assert f"HTTP {status}" in failure.line


@pytest.mark.parametrize(
    ("answer", "exit_code", "next_step"),
    [
        (refused(413, "artifact_too_large"), ExitCode.REFUSED, "of this size"),
        (refused(415, "artifact_type_refused"), ExitCode.REFUSED, "--content-type"),
        (refused(409, "not_active"), ExitCode.REFUSED, "rollcall-agent run"),
        (refused(403, "scope_missing"), ExitCode.REFUSED, "scope"),
        (refused(401, "key_revoked"), ExitCode.IDENTITY_ENDED, "ask an operator"),
        (said(201, {"artifact_id": "art_1"}), ExitCode.UNREACHABLE, "again is safe"),
        (said(201, {"artifact_id": "../x"}), ExitCode.UNREACHABLE, "again is safe"),
        (
            said(201, {"artifact_id": "art_1", "upload": {"url": "https://s", "fields": {"k": 1}}}),
            ExitCode.UNREACHABLE,
            "again is safe",
        ),
    ],
)
def test_a_refusal_says_what_to_do_next(
    tmp_path: Path, answer: Answer, exit_code: ExitCode, next_step: str
) -> None:
    failure = Sender(tmp_path, answer).fails()
    assert failure.exit_code is exit_code
    assert next_step in failure.line


@pytest.mark.parametrize("status", ["rejected", "expired", "odd"])
def test_an_artifact_that_was_not_kept_is_a_failure(tmp_path: Path, status: str) -> None:
    failure = Sender(tmp_path, PRESIGNED, TAKEN, said(200, {"status": status})).fails()
    assert failure.exit_code is ExitCode.REFUSED
    assert status in failure.line


def test_a_rejection_is_told_with_its_reason(tmp_path: Path) -> None:
    settled = {"status": "rejected", "reason": "checksum_mismatch"}
    failure = Sender(tmp_path, PRESIGNED, TAKEN, said(200, settled)).fails()
    assert "rejected (checksum_mismatch)" in failure.line


def test_waiting_for_the_verification_is_bounded(tmp_path: Path) -> None:
    sender = Sender(tmp_path, PRESIGNED, TAKEN, *[PENDING] * 100)
    failure = sender.fails()
    assert failure.exit_code is ExitCode.UNREACHABLE
    assert "art_1" in failure.line
    assert sum(sender.clock.sleeps) == pytest.approx(120)


@pytest.mark.parametrize("answer", [lost("the connection broke"), Answer(400), Answer(403)])
def test_a_file_that_changed_while_it_was_sent_is_told_and_no_broken_connection(
    tmp_path: Path, answer: Answer | Exception
) -> None:
    sender = Sender(tmp_path, PRESIGNED, answer)
    sender.plane.meanwhile_posting = sender.path.unlink
    failure = sender.fails()
    assert failure.exit_code is ExitCode.USAGE
    assert "dump.json changed while it was being uploaded" in failure.line
    assert len(sender.plane.forms) == 1


def test_a_file_that_changed_between_two_attempts_is_not_announced_again(tmp_path: Path) -> None:
    sender = Sender(tmp_path, PRESIGNED, Answer(503))
    sleep = sender.clock.sleep

    def change(seconds: float) -> None:
        sleep(seconds)
        sender.path.write_bytes(b"{} ")

    sender.clock.sleep = change  # type: ignore[method-assign]
    assert "changed while" in sender.fails().line
    assert len(sender.plane.calls) == 1
