"""The agent as a process, against a control plane on a real socket."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.agent_faults.conftest import Start
from tests.e2e.agent_faults.fake_control_plane import FakeControlPlane, Reply, problem
from tests.e2e.agent_faults.harness import AgentProcess, stops_within_a_second
from tests.e2e.agent_faults.proxy import Fault, FaultProxy

HEARTBEAT = "/telemetry/heartbeat"


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_run_enrolls_with_a_token_beats_at_once_and_stops_cleanly_on_sigterm(
    control_plane: FakeControlPlane, agent: AgentProcess, start: Start
) -> None:
    process = start(agent, "run", token=control_plane.mint())
    assert next_line(process).startswith("Enrolled as agt_")
    assert next_line(process).startswith("Online")
    (enrolled,) = control_plane.agents.values()
    assert [beat["sequence"] for beat in enrolled.beats] == [1]

    def online() -> subprocess.Popen[str]:
        # An agent that remembers its beats would wait for its slot.
        agent.config.with_suffix(".state.json").unlink()
        another = start(agent, "run")
        assert next_line(another).startswith("Online")
        return another

    stops_within_a_second(process, online)
    (still,) = control_plane.agents.values()
    assert still is enrolled


def test_sigterm_ends_a_request_that_nobody_answers_within_a_second(
    control_plane: FakeControlPlane, agent: AgentProcess, start: Start
) -> None:
    agent.enroll(control_plane.mint())

    def waiting() -> subprocess.Popen[str]:
        asked = control_plane.stall(HEARTBEAT)
        process = start(agent, "run")
        assert asked.wait(20)
        return process

    stops_within_a_second(waiting(), waiting)


def test_a_beat_whose_answer_was_lost_is_repeated_with_the_same_sequence_and_nonce(
    control_plane: FakeControlPlane, proxy: FaultProxy, tmp_path: Path, start: Start
) -> None:
    agent = AgentProcess(folder=tmp_path / "host", url=proxy.url)
    agent.enroll(control_plane.mint())
    proxy.arm(Fault.DROP_ANSWER, HEARTBEAT)

    process = start(agent, "run")

    assert next_line(process).startswith("Online")
    (enrolled,) = control_plane.agents.values()
    first, second = enrolled.beats
    assert first == second


def test_run_ends_with_its_own_code_when_the_key_is_revoked_and_keeps_the_key(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    agent.enroll(control_plane.mint())
    (enrolled,) = control_plane.agents.values()
    enrolled.is_revoked = True

    result = agent.run("run")

    assert result.returncode == 6
    assert "key_revoked" in result.stderr
    assert agent.settings()["ROLLCALL_AGENT_API_KEY"] == enrolled.key


def test_a_single_beat_tells_a_script_how_it_went(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    agent.enroll(control_plane.mint())

    assert agent.run("run", "--once").returncode == 0
    control_plane.script.append((HEARTBEAT, problem(403, "agent_quarantined")))
    refused = agent.run("run", "--once")

    assert refused.returncode == 3
    assert "agent_quarantined" in refused.stderr


def test_enrolling_twice_is_a_no_op(control_plane: FakeControlPlane, agent: AgentProcess) -> None:
    token = control_plane.mint(uses=2)
    agent.enroll(token)
    before = agent.config.read_bytes()

    again = agent.enroll(token)

    assert again.returncode == 0
    assert "Already enrolled" in again.stdout
    assert agent.config.read_bytes() == before
    assert control_plane.uses_left[token] == 1


def test_a_token_in_the_env_file_is_commented_out_once_it_is_consumed(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    token = control_plane.mint()
    agent.config.parent.mkdir(parents=True)
    agent.config.write_text(f"# our host\nROLLCALL_TOKEN={token}\nOTHER=1\n")

    assert agent.run("enroll").returncode == 0

    lines = agent.config.read_text().splitlines()
    assert lines[:3] == ["# our host", "# ROLLCALL_TOKEN consumed during enrollment", "OTHER=1"]


@pytest.mark.parametrize(
    ("reply", "exit_code", "shown"),
    [
        (problem(410, "token_expired"), 3, "mint a new enrollment token"),
        (problem(403, "hostname_mismatch"), 3, "the host that it was minted for"),
        (Reply(403, {"message": "Missing Authentication Token"}), 4, "stage included"),
        (Reply(403, {"message": "Authorization header requires 'Credential'"}), 4, "no such stage"),
        (Reply(302, {}, {"Location": "https://elsewhere.example/"}), 4, "any proxy in between"),
        (Reply(503, {}, {"Retry-After": "600"}), 4, "asks to wait 600 s"),
    ],
)
def test_a_refused_enrollment_says_in_one_line_what_to_do_next(
    reply: Reply,
    exit_code: int,
    shown: str,
    control_plane: FakeControlPlane,
    agent: AgentProcess,
) -> None:
    token = control_plane.mint()
    control_plane.script.append(("/exchange", reply))

    result = agent.enroll(token)

    assert result.returncode == exit_code
    assert shown in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert token not in result.stderr + result.stdout


def test_contention_is_waited_out_and_spends_one_use(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    token = control_plane.mint(uses=2)
    control_plane.script.append(
        ("/exchange", Reply(503, {"code": "contention"}, {"Retry-After": "1"}))
    )

    assert agent.enroll(token).returncode == 0
    assert control_plane.uses_left[token] == 1


def test_an_upload_arrives_whole_without_the_agents_credentials_and_only_once(
    control_plane: FakeControlPlane, agent: AgentProcess, tmp_path: Path
) -> None:
    agent.enroll(control_plane.mint())
    content = bytes(range(256)) * 2000
    bundle = tmp_path / "bundle.bin"
    bundle.write_bytes(content)

    first = agent.run("upload", str(bundle), "--kind", "incident_bundle", "--metadata", "case=7")
    second = agent.run("upload", str(bundle), "--kind", "incident_bundle")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert control_plane.objects == {first.stdout.strip(): content}
    (headers,) = control_plane.upload_headers
    assert "authorization" not in headers
    assert "content-length" in headers


def test_status_shows_everything_but_the_key(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    agent.enroll(control_plane.mint())
    agent.run("run", "--once")
    (enrolled,) = control_plane.agents.values()

    result = agent.run("status", "--json")

    shown = json.loads(result.stdout)
    assert result.returncode == 0
    assert (shown["agent_id"], shown["key_present"], shown["reachable"]) == (
        enrolled.agent_id,
        True,
        True,
    )
    assert shown["last_state"]["state"] == "online"
    assert enrolled.key not in result.stdout + result.stderr


def test_a_former_agent_that_could_not_be_ended_ends_with_the_present_one(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    agent.enroll(control_plane.mint())
    busy = problem(503, "contention")
    waits = Reply(503, busy.body, {**busy.headers, "Retry-After": "600"})
    control_plane.script.append(("/decommission", waits))

    replaced = agent.run("enroll", "--replace", token=control_plane.mint())

    assert replaced.returncode == 0
    assert "the next start of the agent tries again" in replaced.stderr
    assert len(control_plane.live()) == 2
    assert agent.run("decommission", "--yes").returncode == 0
    assert control_plane.live() == []
    assert "rca_" not in agent.config.read_text()


def test_status_of_an_identity_that_ended_is_6_also_where_no_one_has_beaten_since(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    agent.enroll(control_plane.mint())
    agent.run("run", "--once")
    (enrolled,) = control_plane.agents.values()
    enrolled.is_revoked = True

    result = agent.run("status")

    assert result.returncode == 6
    assert "identity       ended" in result.stdout
    assert "key_revoked" in result.stdout
    assert enrolled.key not in result.stdout + result.stderr


def test_an_identity_is_replaced_only_when_that_is_asked_for(
    control_plane: FakeControlPlane, agent: AgentProcess
) -> None:
    first, second = control_plane.mint(), control_plane.mint()
    agent.enroll(first)
    before = agent.settings()["ROLLCALL_AGENT_ID"]

    kept = agent.enroll(second)
    replaced = agent.run("enroll", "--replace", token=second)

    assert "--replace" in kept.stdout
    assert control_plane.uses_left[second] == 0
    assert replaced.returncode == 0
    assert agent.settings()["ROLLCALL_AGENT_ID"] != before
