"""The operator's command line against the deployed stage, with a real agent beside it."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local_stack import LocalStack
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.stack.calls import Calls, until
from tests.e2e.stack.cli_process import Cli, json_lines
from tests.e2e.stack.conftest import Start

IDENTITY_ENDED = 6
Watch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def cli(stack: LocalStack, tmp_path: Path) -> Iterator[Cli]:
    """An operator's machine; nothing that it printed may hold the operator's own credential."""
    machine = Cli(tmp_path / "operator", stack.url, stack.operator_key)
    yield machine
    assert not any(stack.operator_key in text for text in machine.said)


@pytest.fixture
def watching(cli: Cli) -> Iterator[Watch]:
    """Start commands that do not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        started.append(cli.start(*arguments))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens: it is held, so that nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def mint(cli: Cli, stack: LocalStack, seen: set[str], *arguments: str) -> dict[str, str]:
    minted: dict[str, str] = cli.json("token", "mint", stack.environment, *arguments)
    seen.add(minted["token"])
    return minted


def test_a_host_is_seen_to_come_online_and_lives_its_life(
    cli: Cli,
    stack: LocalStack,
    agent: AgentProcess,
    start: Start,
    watching: Watch,
    secrets_seen: set[str],
) -> None:
    secret = cli.ok("token", "mint", stack.environment, "--label", "rack=7").strip()
    secrets_seen.add(secret)
    assert secret.startswith("rce_")
    watch = watching("agent", "watch", "cli-host", "--timeout", "60", "--json")
    assert agent.run("enroll", "--name", "cli-host", token=secret).returncode == 0
    process = start(agent, "run")
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 0, err
    seen = list(json_lines(out))
    assert [one["status"] for one in seen][-1] == "online"
    agent_id = seen[0]["agent_id"]

    assert cli.json("agent", "show", "cli-host")["agent_id"] == agent_id
    assert cli.json("agent", "rename", "cli-host", "cli-renamed")["name"] == "cli-renamed"
    assert cli.run("agent", "show", "cli-host").returncode == 4
    labelled = cli.json("agent", "label", "cli-renamed", "tier=web", "rack-")
    assert labelled["labels"] == {"tier": "web"}
    listed = cli.json("agent", "list", "--label", "tier=web", "-e", stack.environment)
    assert [row["agent_id"] for row in listed["agents"]] == [agent_id]
    assert listed["next_cursor"] is None

    refused = cli.run("agent", "revoke", "cli-renamed")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert cli.ok("agent", "revoke", "cli-renamed", "--yes") == f"{agent_id} is revoked.\n"
    assert process.wait(20) == IDENTITY_ENDED
    ended = cli.run("agent", "watch", agent_id)
    assert ended.returncode == 7
    assert "revoked" in ended.stdout
    assert not any(secret in text for text in cli.said[2:])


def test_a_mint_that_watches_prints_the_secret_first_and_alone(
    stack: LocalStack,
    agent: AgentProcess,
    start: Start,
    watching: Watch,
    secrets_seen: set[str],
) -> None:
    minting = watching("token", "mint", stack.environment, "--watch", "--hostname", "right.example")
    assert minting.stdout is not None
    secret = minting.stdout.readline().strip()
    secrets_seen.add(secret)
    assert agent.run("enroll", token=secret).returncode == 3  # not that host
    assert minting.stderr is not None
    said = ""
    while "refused" not in said:
        line = minting.stderr.readline()
        assert line, said
        said += line
    assert "hostname_mismatch" in said
    minting.send_signal(signal.SIGINT)
    assert minting.wait(20) == 130

    watched = watching("token", "mint", stack.environment, "--watch", "--timeout", "60")
    assert watched.stdout is not None
    secret = watched.stdout.readline().strip()
    secrets_seen.add(secret)
    start(agent, "run", token=secret)
    out, err = watched.communicate(timeout=60)
    assert (watched.returncode, out) == (0, ""), err
    assert err.rstrip().endswith("online")
    assert secret not in err


def test_a_token_is_kept_in_a_private_file_and_ends_with_its_agents(
    cli: Cli, calls: Calls, stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    file = tmp_path / "token"
    minted = cli.json(
        "token", "mint", stack.environment, "--uses", "3", "--ttl", "15m", "--output", str(file)
    )
    secret = file.read_text().strip()
    secrets_seen.add(secret)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "token" not in minted
    token_id = minted["enrollment_token_id"]
    assert cli.run("token", "mint", stack.environment, "--output", str(file)).returncode == 2
    for _ in range(2):
        body = {"hostname": "host.example"}
        made = calls.send("POST", "/agent-enrollment/exchange", body, credential=secret)
        assert made.status_code == 201
    assert cli.json("token", "show", token_id)["uses"] == 2
    listed = cli.json("token", "list", "-e", stack.environment, "--status", "active", "--all")
    assert token_id in {row["enrollment_token_id"] for row in listed["enrollment_tokens"]}

    revoked = cli.json("token", "revoke", token_id, "--cascade", "--wait", "--yes")
    job = revoked["job"]
    assert (revoked["status"], job["status"], job["processed"]) == ("revoked", "done", 2)
    assert cli.json("job", "wait", job["job_id"]) == cli.json("job", "show", job["job_id"])
    assert not any(secret in text for text in cli.said)


def test_a_mint_that_cannot_be_shown_leaves_no_active_token(cli: Cli, stack: LocalStack) -> None:
    def active() -> set[str]:
        listed = cli.json("token", "list", "-e", stack.environment, "--status", "active", "--all")
        return {row["enrollment_token_id"] for row in listed["enrollment_tokens"]}

    before = active()
    words = cli.command("token", "mint", stack.environment)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            words, env=cli.environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (74, False)
    assert active() == before


def test_attempts_and_evidence_are_read_and_exported(
    cli: Cli, calls: Calls, stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    minted = mint(cli, stack, secrets_seen, "--hostname", "right.example")
    body = {"hostname": "wrong.example"}
    calls.send("POST", "/agent-enrollment/exchange", body, credential=minted["token"])
    token_id = minted["enrollment_token_id"]
    found = until(
        lambda: cli.json("attempts", "--token", token_id)["attempts"], "the attempt is listed"
    )
    assert (found[0]["reason"], found[0]["claimed"]["hostname"]) == (
        "hostname_mismatch",
        "wrong.example",
    )
    assert "wrong.example" in cli.ok("attempts", "--token", token_id)

    records = cli.json("audit", "--since", "1h", "--resource", token_id, "--oldest")
    events = [record["event"] for record in records["audit_records"]]
    assert {"agent.enrollment_token.issued", "agent.enrollment.failed"} <= set(events)
    table = cli.ok("audit", "--since", "1h", "--resource", f"enrollment_token/{token_id}")
    assert table.splitlines()[0].split() == [
        *("TIME", "EVENT", "OUTCOME", "REASON", "ACTOR", "RESOURCE", "FROM"),
    ]
    folder = tmp_path / "one"
    cli.ok("audit", "--since", "1h", "--resource", token_id, "--export", str(folder))
    assert [record["id"] for record in exported(folder)] == [
        record["id"] for record in records["audit_records"]
    ]


def exported(folder: Path) -> list[Any]:
    """The records of an export."""
    files = sorted(folder.glob("records-*.jsonl"))
    return [record for file in files for record in json_lines(file.read_text())]


def test_what_is_exported_can_be_verified_offline(
    cli: Cli, stack: LocalStack, tmp_path: Path
) -> None:
    folder, key = tmp_path / "export", tmp_path / "key.pem"
    cli.ok("audit", "--since", "1h", "--export", str(folder))
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    infra = [sys.executable, "-m", "infra", "audit"]
    stage = ["--stage", stack.target.stage]
    subprocess.run(
        [*infra, "key", *stage, "--output", str(key)], env=stack.target.child_environ(), check=True
    )
    verify = [*infra, "verify", "--export", str(folder), "--public-key", str(key)]
    assert subprocess.run(verify, check=False).returncode == 0
    first = min(folder.glob("records-*.jsonl"))
    first.write_bytes(first.read_bytes().replace(b"enrollment", b"enrolment"))
    assert subprocess.run(verify, check=False).returncode != 0


def test_following_the_evidence_shows_what_happens_meanwhile_once(
    cli: Cli, stack: LocalStack, watching: Watch, secrets_seen: set[str]
) -> None:
    following = watching("audit", "--follow", "--json", "--since", "1m")
    minted = mint(cli, stack, secrets_seen)
    token_id = minted["enrollment_token_id"]
    cli.ok("token", "revoke", token_id, "--yes")
    assert following.stdout is not None
    seen: list[str] = []
    while "agent.enrollment_token.revoked" not in seen:
        record = json.loads(following.stdout.readline())
        if record["resource"]["id"] == token_id:
            seen.append(record["event"])
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert token_id not in out
    assert "Traceback" not in err
    assert seen == ["agent.enrollment_token.issued", "agent.enrollment_token.revoked"]


def test_exit_codes_tell_a_script_what_happened(
    cli: Cli, calls: Calls, stack: LocalStack, closed_port: int
) -> None:
    name = calls.operator("GET", f"/agents/{calls.online().id}").json()["name"]
    nowhere = f"http://127.0.0.1:{closed_port}/dev"
    outcomes = {
        ("agent", "rename", name, "no spaces allowed"): (1, "validation_failed"),
        ("agent", "list", "--status", "asleep"): (1, "query_invalid"),
        ("agent", "lits"): (2, "Did you mean list?"),
        ("token", "revoke", "rce_" + "0" * 20, "--yes"): (2, "looks like an enrollment token"),
        ("agent", "show", "agt_" + "0" * 20): (4, "agent_not_found"),
        ("agent", "show", "no-such-name"): (4, "no-such-name"),
        ("agent", "watch", "no-such-name", "--timeout", "1"): (6, "no-such-name"),
    }
    for arguments, (code, text) in outcomes.items():
        ended = cli.run(*arguments)
        assert (ended.returncode, ended.stdout) == (code, ""), (arguments, ended.stderr)
        assert text in ended.stderr
    altered = stack.operator_key[:-1] + ("0" if stack.operator_key[-1] != "0" else "1")
    assert cli.run("agent", "list", ROLLCALL_CREDENTIAL=altered).returncode == 3
    unreachable = cli.run("--patience", "0.5", "agent", "list", ROLLCALL_API_BASE_URL=nowhere)
    assert unreachable.returncode == 5
    nobody = Cli(cli.folder / "nobody", stack.url)
    ended = nobody.run("agent", "list", ROLLCALL_API_BASE_URL=stack.url)
    assert (ended.returncode, "rollcall login" in ended.stderr) == (3, True)
    assert nobody.run("agent", "list").returncode == 2


def test_what_is_piped_is_plain_and_aligned(cli: Cli, calls: Calls, stack: LocalStack) -> None:
    host = calls.online()
    lines = cli.ok("agent", "list", "-e", stack.environment, "--all").splitlines()
    place = lines[0].index("AGENT")
    assert host.id in {line[place : place + len(host.id)] for line in lines[1:]}
    assert not any("\x1b" in line or "│" in line for line in lines)


def test_a_shell_is_offered_names_and_never_an_error(cli: Cli, calls: Calls) -> None:
    name = calls.operator("GET", f"/agents/{calls.online().id}").json()["name"]

    def offered(*words: str, **environment: str) -> tuple[str, str]:
        ended = cli.run(
            _ROLLCALL_COMPLETE="complete_bash",
            COMP_WORDS=" ".join(("rollcall", *words)),
            COMP_CWORD=str(len(words)),
            **environment,
        )
        return ended.stdout.strip(), ended.stderr

    assert offered("agent", "show", name[:-1]) == (name, "")
    assert offered("agent", "revo") == ("revoke", "")
    assert offered("agent", "show", name[:-1], ROLLCALL_CREDENTIAL="rco_nonsense") == ("", "")
