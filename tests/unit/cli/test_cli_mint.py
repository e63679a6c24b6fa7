from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx

from tests.unit.cli.fakes import ENVIRONMENT, TOKEN, Machine, agent, listed, ok, problem, token

MINT = "POST /agent-enrollment/tokens"
SHOW = f"GET /agent-enrollment/tokens/{TOKEN}"
REVOKE = f"POST /agent-enrollment/tokens/{TOKEN}/revoke"
MINTING = ("token", "mint", ENVIRONMENT)
SECRET = "rce_secret"


def minted(**more: object) -> httpx.Response:
    return ok(token(token=SECRET, **more), 201)


def test_the_secret_stands_alone_on_stdout(machine: Machine) -> None:
    machine.plane.on(MINT, minted())
    ran = machine.run(*MINTING, "--ttl", "15m", "--uses", "3", "--label", "rack=7")
    assert (ran.code, ran.out) == (0, f"{SECRET}\n")
    assert SECRET not in ran.err
    assert json.loads(machine.plane.requests[0].content) == {
        "environment": ENVIRONMENT,
        "ttl_seconds": 900,
        "max_uses": 3,
        "labels": {"rack": "7"},
    }


def test_json_is_exactly_the_answer(machine: Machine) -> None:
    machine.plane.on(MINT, minted())
    ran = machine.run(*MINTING, "--json")
    assert (ran.json(), ran.err) == (token(token=SECRET), "")


def test_an_attempt_is_repeated_with_the_same_idempotency_key(machine: Machine) -> None:
    machine.plane.on(MINT, problem(503, "contention"), httpx.ReadTimeout("lost"), minted())
    assert machine.run(*MINTING).code == 0
    keys = {request.headers["idempotency-key"] for request in machine.plane.asked(MINT)}
    assert len(machine.plane.asked(MINT)) == 3
    assert len(keys) == 1
    assert len(keys.pop()) >= 22


def test_a_lost_answer_does_not_leave_a_token_that_nobody_holds(machine: Machine) -> None:
    taken = problem(409, "already_minted", enrollment_token_id=TOKEN)
    machine.plane.on(MINT, httpx.ReadTimeout("lost"), taken, minted())
    machine.plane.on(REVOKE, ok(token(status="revoked")))
    ran = machine.run(*MINTING)
    assert (ran.code, ran.out) == (0, f"{SECRET}\n")
    assert len(machine.plane.asked(REVOKE)) == 1
    lost, repeated, fresh = (r.headers["idempotency-key"] for r in machine.plane.asked(MINT))
    assert lost == repeated != fresh


def test_a_mint_whose_outcome_is_unknown_says_so(machine: Machine) -> None:
    machine.plane.on(MINT, httpx.ReadTimeout("lost"))
    ran = machine.run(*MINTING)
    assert (ran.code, "may have been minted" in ran.err) == (5, True)


def test_a_file_takes_the_secret_instead_of_stdout(machine: Machine, tmp_path: Path) -> None:
    machine.plane.on(MINT, minted())
    file = tmp_path / "token"
    ran = machine.run(*MINTING, "--output", str(file), "--json")
    assert (ran.code, ran.json()) == (0, token())
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (f"{SECRET}\n", 0o600)


def test_nothing_is_minted_where_the_file_cannot_be_written(
    machine: Machine, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("something else")
    for output in (there, tmp_path, tmp_path / "missing" / "token"):
        ran = machine.run(*MINTING, "--output", str(output))
        assert (ran.code, machine.plane.asked(MINT)) == (2, [])
    assert there.read_text() == "something else"


def test_a_refused_mint_leaves_no_file_in_the_way(machine: Machine, tmp_path: Path) -> None:
    machine.plane.on(MINT, problem(403, "scope_missing"), minted())
    output = ("--output", str(tmp_path / "token"))
    assert machine.run(*MINTING, *output).code == 1
    assert machine.run(*MINTING, *output).code == 0


def test_watching_lists_agents_only_when_a_use_was_spent(machine: Machine) -> None:
    unused, used = ok(token()), ok(token(uses=1, status="spent"))
    machine.plane.on(MINT, minted()).on(SHOW, unused, unused, unused, used)
    machine.plane.on("GET /agents", listed("agents", agent("other", number=9), agent()))
    machine.plane.on(
        "GET /agents",
        listed(
            "agents",
            agent("other", enrollment_token_id="tok_other", number=9),
            agent(status="enrolled"),
        ),
    )
    machine.plane.on(f"GET /agents/{agent()['agent_id']}", ok(agent()))
    machine.plane.on("GET /agent-enrollment/attempts", problem(403, "scope_missing"))
    ran = machine.run(*MINTING, "--watch")
    assert (ran.code, ran.out) == (0, f"{SECRET}\n")
    assert len(machine.plane.asked("GET /agents")) == 1
    assert "enrolled -> online" in ran.err
    assert "other" not in ran.err
    assert len(machine.plane.asked("GET /agent-enrollment/attempts")) == 1


def test_watching_ends_when_the_token_does(machine: Machine) -> None:
    machine.plane.on(MINT, minted()).on(SHOW, ok(token()), ok(token(status="expired")))
    machine.plane.on("GET /agent-enrollment/attempts", listed("attempts"))
    ran = machine.run(*MINTING, "--watch")
    assert (ran.code, "is expired" in ran.err) == (7, True)


def test_watching_tells_each_refused_attempt_once(machine: Machine) -> None:
    attempt = {
        "time": "2026-01-01T00:00:00.000Z",
        "reason": "hostname_mismatch",
        "request_id": "r",
        "source_address": "192.0.2.1",
        "count": 1,
        "claimed": {"hostname": "x\x1b[2J.example"},
    }
    machine.plane.on(MINT, minted()).on(SHOW, ok(token()))
    machine.plane.on("GET /agent-enrollment/attempts", listed("attempts", attempt))
    ran = machine.run(*MINTING, "--watch", "--timeout", "60")
    assert ran.code == 6
    assert ran.err.count("hostname_mismatch") == 1
    assert "\x1b" not in ran.err


def test_a_secret_is_never_taken_from_the_command_line(machine: Machine) -> None:
    ran = machine.run("token", "revoke", "rce_some_secret", "--yes")
    assert (ran.code, machine.plane.requests) == (2, [])
    assert "some_secret" not in ran.err


def test_revoking_is_asked_about(machine: Machine) -> None:
    machine.plane.on(REVOKE, ok(token(status="revoked")))
    assert machine.run("token", "revoke", TOKEN, stdin="y\n").code == 2
    assert machine.run("token", "revoke", TOKEN, stdin="n\n", terminal=True).code == 2
    assert machine.plane.requests == []
    assert machine.run("token", "revoke", TOKEN, stdin="y\n", terminal=True).code == 0
    assert machine.run("token", "revoke", TOKEN, "--yes").code == 0


def test_a_cascade_is_waited_for(machine: Machine) -> None:
    job = {"job_id": "job_" + "1" * 20, "status": "queued", "processed": 0, "total": None}
    machine.plane.on(REVOKE, ok(token(status="revoked", job=job), 202))
    machine.plane.on(
        f"GET /jobs/{job['job_id']}",
        ok({**job, "status": "running", "processed": 1, "total": 2}),
        ok({**job, "status": "done", "processed": 2, "total": 2}),
    )
    ran = machine.run("token", "revoke", TOKEN, "--cascade", "--wait", "--yes", "--json")
    assert (ran.code, ran.json()["job"]["status"]) == (0, "done")
    assert "1 of 2" in ran.err


def test_a_job_that_fails_ends_the_command_badly(machine: Machine) -> None:
    job_id = "job_" + "1" * 20
    failed = {"job_id": job_id, "status": "failed", "last_error": "contention"}
    machine.plane.on(f"GET /jobs/{job_id}", ok(failed))
    ran = machine.run("job", "wait", job_id, "--json")
    assert (ran.code, ran.json()) == (7, failed)
