from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.last_state import Beaten, recall, recall_beaten, recall_instance, remember
from rollcall_agent.secret import Secret
from rollcall_agent.settings import DEFAULT_CONFIG, Settings
from rollcall_agent.status import inspect
from rollcall_agent.token_sources import find_token
from rollcall_agent.urls import check_base_url

from tests.unit.agent.fakes import Lines, ScriptedPlane, lost, refused, said


def settings(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    path = tmp_path / "agent.env"
    path.write_text(text)
    path.chmod(0o600)
    return Settings.load(path, environment)


def test_the_config_is_named_by_option_then_environment_then_default(tmp_path: Path) -> None:
    named = {"ROLLCALL_CONFIG": str(tmp_path / "env")}
    assert Settings.load(tmp_path / "option", named).path == tmp_path / "option"
    assert Settings.load(None, named).path == tmp_path / "env"
    assert Settings.load(None, {}).path == DEFAULT_CONFIG


def test_the_url_comes_from_option_then_environment_then_file(tmp_path: Path) -> None:
    text = "ROLLCALL_API_BASE_URL=https://file.example\n"
    both = settings(tmp_path, text, ROLLCALL_API_BASE_URL="https://environment.example/")
    assert both.base_url("https://option.example") == "https://option.example"
    assert both.base_url() == "https://environment.example"
    assert settings(tmp_path, text).base_url() == "https://file.example"
    with pytest.raises(AgentError, match="No control plane is configured"):
        settings(tmp_path).base_url()


def test_the_two_halves_of_an_identity_come_from_one_place(tmp_path: Path) -> None:
    environment = {"ROLLCALL_AGENT_ID": "agt_env", "ROLLCALL_AGENT_API_KEY": "rca_env"}
    whole = "ROLLCALL_AGENT_ID=agt_file\nROLLCALL_AGENT_API_KEY=rca_file\n"
    half = "ROLLCALL_AGENT_ID=agt_file\n"
    for text, expected in ((whole, "agt_file"), (half, "agt_env")):
        identity = settings(tmp_path, text, **environment).identity()
        assert identity is not None
        assert identity.agent_id == expected
    assert settings(tmp_path, half).identity() is None


@pytest.mark.parametrize(
    "url",
    [
        "https://cp.example",
        "https://cp.example/prod/",
        "http://localhost:8000/dev",
        "http://127.0.0.1:8000",
        "http://127.9.9.9",
        "http://[::1]:8000/dev",
    ],
)
def test_https_and_this_host_are_allowed(url: str) -> None:
    assert check_base_url(url, allow_http=False) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://cp.example",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "ftp://cp.example",
        "cp.example",
        "https://",
        "https://cp.example:0",
        "https://cp.example:99999",
        "https://user:secret@cp.example",
        "https://cp.example?x=1",
        "https://cp.example#",
        "https://cp.example/\nX: y",
        "https://cp.example/$(id)",
        "https://cp.example/é",
    ],
)
def test_every_other_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(AgentError) as refused:
        check_base_url(url, allow_http=False)
    assert refused.value.exit_code is ExitCode.USAGE
    assert "secret" not in refused.value.line


def test_plain_http_needs_an_explicit_word(tmp_path: Path) -> None:
    text = "ROLLCALL_API_BASE_URL=http://cp.example\n"
    with pytest.raises(AgentError, match="ROLLCALL_ALLOW_HTTP=1"):
        settings(tmp_path, text).base_url()
    assert settings(tmp_path, text, ROLLCALL_ALLOW_HTTP="1").base_url() == "http://cp.example"


def test_a_token_comes_from_option_then_environment_then_file(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(" rce_option\n")
    token_file.chmod(0o600)
    lines = Lines()
    both = settings(tmp_path, "ROLLCALL_TOKEN=rce_file\n", ROLLCALL_TOKEN="rce_environment")

    assert find_token(both, lines, token_file=token_file) == Secret("rce_option")
    stdin = io.StringIO("rce_stdin\n")
    assert find_token(both, lines, from_stdin=True, stdin=stdin) == Secret("rce_stdin")
    assert find_token(both, lines) == Secret("rce_environment")
    file_only = settings(tmp_path, "ROLLCALL_TOKEN=rce_file\n")
    assert find_token(file_only, lines) == Secret("rce_file")
    assert lines.warnings == []


@pytest.mark.parametrize("text", ["rco_organization_key", "hunter2", "rce_with space", "rce_é", ""])
def test_what_is_no_enrollment_token_is_refused_without_being_shown(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(AgentError) as refused:
        find_token(settings(tmp_path), Lines(), from_stdin=True, stdin=io.StringIO(text))
    assert refused.value.exit_code is ExitCode.USAGE
    assert not text or text not in refused.value.line


def test_a_missing_token_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="--token-stdin") as missing:
        find_token(settings(tmp_path), Lines())
    assert missing.value.exit_code is ExitCode.NOT_ENROLLED
    interrupted = settings(tmp_path, "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY=abc\n")
    with pytest.raises(AgentError, match="interrupted enrollment needs its token"):
        find_token(interrupted, Lines())


def test_files_with_secrets_that_others_can_read_are_warned_about(tmp_path: Path) -> None:
    lines = Lines()
    exposed = settings(tmp_path, "ROLLCALL_TOKEN=rce_file\n")
    exposed.path.chmod(0o644)
    exposed.warn_if_exposed(lines)
    token_file = tmp_path / "token"
    token_file.write_text("rce_x")
    token_file.chmod(0o640)
    find_token(exposed, lines, token_file=token_file)
    assert ["chmod 600" in warning for warning in lines.warnings] == [True, True]


def test_a_secret_does_not_show_in_text() -> None:
    secret = Secret("rca_key")
    assert "rca_key" not in f"{secret} {secret!r} {secret.fingerprint()}"


HEALTHY = said(200, {"status": "ok"})
GOOD = refused(404, "artifact_not_found")
REVOKED, SUPERSEDED = refused(401, "key_revoked"), refused(401, "key_superseded")
ONE_KEY = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n"
TWO_KEYS = f"{ONE_KEY}ROLLCALL_AGENT_PREVIOUS_API_KEY=rca_0\n"


@pytest.mark.parametrize(
    ("text", "answers", "standing", "exit_code"),
    [
        (ONE_KEY, [GOOD], "accepted", ExitCode.OK),
        (ONE_KEY, [refused(409, "not_active")], "accepted", ExitCode.OK),
        (ONE_KEY, [refused(403, "scope_missing")], "accepted", ExitCode.OK),
        (ONE_KEY, [REVOKED], "ended", ExitCode.IDENTITY_ENDED),
        (ONE_KEY, [SUPERSEDED], "ended", ExitCode.IDENTITY_ENDED),
        (TWO_KEYS, [SUPERSEDED, GOOD], "accepted", ExitCode.OK),
        (TWO_KEYS, [SUPERSEDED, SUPERSEDED], "ended", ExitCode.IDENTITY_ENDED),
        (TWO_KEYS, [refused(401, "key_invalid"), SUPERSEDED], "refused", ExitCode.REFUSED),
        (ONE_KEY, [refused(403, "agent_quarantined")], "quarantined", ExitCode.REFUSED),
        (ONE_KEY, [refused(401, "key_expired")], "refused", ExitCode.REFUSED),
        (ONE_KEY, [refused(404, "agent_not_found")], "refused", ExitCode.REFUSED),
        (ONE_KEY, [Answer(503)], "unknown", ExitCode.UNREACHABLE),
        (ONE_KEY, [Answer(401, {"message": "Unauthorized"})], "unknown", ExitCode.UNREACHABLE),
        (ONE_KEY, [lost()], "unknown", ExitCode.UNREACHABLE),
        (ONE_KEY, [refused(429, "too_many")], "unknown", ExitCode.UNREACHABLE),
    ],
)
def test_status_asks_what_the_identity_is_good_for(
    tmp_path: Path,
    text: str,
    answers: list[Answer | Exception],
    standing: str,
    exit_code: ExitCode,
) -> None:
    plane = ScriptedPlane(HEALTHY, *answers)
    found = inspect(settings(tmp_path, text), "https://cp.example", plane)
    assert (found.standing, found.exit_code) == (standing, exit_code)
    assert plane.answers == []
    assert all(call.method == "GET" for call in plane.calls)
    assert "rca_" not in json.dumps(vars(found)) + "\n".join(found.lines())


@pytest.mark.parametrize("answers", [[lost()], [HEALTHY, lost()], [HEALTHY, Answer(500)]])
def test_an_identity_that_ended_stays_ended_where_no_one_answers(
    tmp_path: Path, answers: list[Answer | Exception]
) -> None:
    configured = settings(tmp_path, ONE_KEY)
    remember(configured.state_file(), "ended", "It was revoked.", 0, Beaten("agt_1", 60))
    found = inspect(configured, "https://cp.example", ScriptedPlane(*answers))
    assert (found.standing, found.why) == ("ended", "It was revoked.")
    assert found.exit_code is ExitCode.IDENTITY_ENDED
    again = inspect(configured, "https://cp.example", ScriptedPlane(HEALTHY, GOOD))
    assert again.exit_code is ExitCode.OK


@pytest.mark.parametrize(
    ("why", "words"),
    [("operator", "Quarantined by an operator."), ("clone", "two copies"), (None, "Quarantined.")],
)
def test_status_says_why_an_agent_is_quarantined(
    tmp_path: Path, why: str | None, words: str
) -> None:
    answer = refused(403, "agent_quarantined", quarantine_reason=why)
    found = inspect(settings(tmp_path, ONE_KEY), "https://x", ScriptedPlane(HEALTHY, answer))
    assert words in found.why
    assert ("copies" in found.why) == (why == "clone")


def test_status_shows_all_but_the_key_and_ends_with_what_a_script_wants(tmp_path: Path) -> None:
    text = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
    configured = settings(tmp_path, text)
    remember(configured.state_file(), "online", "Online.", 1_700_000_000)
    url = "https://cp.example"

    healthy = inspect(configured, url, ScriptedPlane(HEALTHY, GOOD))
    silent = inspect(configured, url, ScriptedPlane(lost("no connection")))
    fresh = inspect(settings(tmp_path), None, None)

    shown = "\n".join(healthy.lines())
    assert "agt_1" in shown
    assert "present" in shown
    assert "online since 2023-11-14T22:13:20+00:00" in shown
    assert "rca_key" not in shown + json.dumps(vars(healthy))
    assert [found.exit_code for found in (healthy, silent, fresh)] == [
        ExitCode.OK,
        ExitCode.UNREACHABLE,
        ExitCode.NOT_ENROLLED,
    ]


def test_a_state_that_cannot_be_kept_or_read_stops_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "state.json", tmp_path, Path("/")):
        remember(path, "online", "Online.", 0)
    for content in (b"", b"[]", b"{", b"\xff", b"[" * 60000):
        (tmp_path / "state.json").write_bytes(content)
        assert recall(tmp_path / "state.json", "agt_1") is None


def test_a_restart_knows_that_and_how_often_its_agent_has_beaten(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    remember(path, "online", "Online.", 0, Beaten("agt_1", 30))
    assert recall_beaten(path, "agt_1") == Beaten("agt_1", 30)
    assert recall_beaten(path, "agt_2") is None
    assert (recall(path, "agt_1") or {})["state"] == "online"


@pytest.mark.parametrize(
    ("content", "is_kept"),
    [
        (b"root:x:0:0:root:/root:/bin/bash\n", True),
        (b"ROLLCALL_AGENT_ID=agt_1\n", True),
        (b'{"hosts": []}', True),
        (b"[]", True),
        (b"\xff\xfe{\0}\0", True),
        (b'{"state": "online"}' + b" " * 65536, True),
        (b"", False),
        (b"\0" * 80, False),
        (b'{"state": "online", "since": "2026-01-01T00:00:00+00:00", "detail": ""}\n', False),
    ],
)
def test_a_file_that_holds_no_state_is_never_replaced_by_one(
    tmp_path: Path, content: bytes, is_kept: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    remember(path, "offline", "nothing", 0.0)
    assert (path.read_bytes() == content) is is_kept


def test_a_folder_and_a_device_are_never_replaced_by_a_state(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        before = (tmp_path / name).stat()
        remember(tmp_path / name, "offline", "nothing", 0.0)
        assert (tmp_path / name).stat() == before


def test_the_state_of_another_agent_is_nobodys(tmp_path: Path) -> None:
    configured = settings(tmp_path, text="ROLLCALL_AGENT_ID=agt_2\nROLLCALL_AGENT_API_KEY=rca_2\n")
    remember(
        configured.state_file(), "online", "Online.", 1_000.0, Beaten("agt_1", 60.0, "instance")
    )
    assert "online" not in "\n".join(inspect(configured, None, None).lines())
    assert recall(configured.state_file(), None) is None
    assert recall_instance(configured.state_file(), "agt_2") is None
    assert recall_instance(configured.state_file(), "agt_1") == "instance"


@pytest.mark.parametrize("interval", ['"30"', "true", "0", "1e9", "null", "[]"])
def test_an_absurd_memory_of_an_interval_is_none(tmp_path: Path, interval: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"agent_id": "agt_1", "interval": {interval}}}')
    assert recall_beaten(path, "agt_1") is None


def test_the_state_of_an_agent_that_never_beat_is_no_beat(tmp_path: Path) -> None:
    remember(tmp_path / "state.json", "unreachable", "No network.", 0)
    assert recall_beaten(tmp_path / "state.json", "agt_1") is None
