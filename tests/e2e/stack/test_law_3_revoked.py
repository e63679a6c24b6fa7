"""Law 3: what was revoked is refused on the next request, under load and in bulk."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.stack.calls import Calls, Host, Token, until
from tests.e2e.stack.conftest import Start

FLEET = 40
LOADING = 6
IDENTITY_ENDED = 6


def code_of(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def test_nothing_sent_after_the_revoke_was_answered_is_accepted(
    calls: Calls, agent: AgentProcess, start: Start
) -> None:
    assert agent.enroll(calls.mint().secret).returncode == 0
    settings = agent.settings()
    host = Host(settings["ROLLCALL_AGENT_ID"], settings["ROLLCALL_AGENT_API_KEY"])
    process = start(agent, "run")
    until(lambda: calls.status_of(host) == "online", "the agent comes online")
    answers: list[tuple[float, tuple[int, str | None]]] = []
    done = threading.Event()

    def load() -> None:
        unknown = host.path("artifacts/art_00000000000000000000")
        while not done.is_set():
            sent = time.monotonic()
            answers.append((sent, code_of(calls.send("GET", unknown, credential=host.key))))

    with ThreadPoolExecutor(LOADING) as pool:
        loading = [pool.submit(load) for _ in range(LOADING)]
        try:
            until(lambda: len(answers) > LOADING * 10, "requests are under way")
            assert calls.operator("POST", f"/agents/{host.id}/revoke").status_code == 200
            revoked_at = time.monotonic()
            until(lambda: len([a for a in answers if a[0] > revoked_at]) > 50, "more requests")
        finally:
            done.set()
        for one in loading:
            one.result()
    before = {what for sent, what in answers if sent < revoked_at}
    after = {what for sent, what in answers if sent > revoked_at}
    assert (404, "artifact_not_found") in before
    assert after == {(401, "key_revoked")}
    assert process.wait(10) == IDENTITY_ENDED
    assert process.stderr is not None
    assert "key_revoked" in process.stderr.read()
    assert calls.status_of(host) == "revoked"


def test_a_cascade_ends_every_agent_and_says_done_only_then(calls: Calls) -> None:
    token = calls.mint(uses=FLEET + 1)
    with ThreadPoolExecutor(4) as pool:
        hosts = list(pool.map(lambda _: calls.online(token), range(FLEET)))
    answer = calls.operator(
        "POST", f"/agent-enrollment/tokens/{token.id}/revoke", {"cascade": True, "note": "leaked"}
    )
    assert answer.status_code == 202
    refused = calls.exchange(token)
    assert code_of(refused) == (410, "token_revoked")
    job = _followed_to_the_end(calls, answer.json()["job"]["job_id"], token)
    assert (job["status"], job["processed"], job["total"]) == ("done", FLEET, FLEET)
    with ThreadPoolExecutor(4) as pool:
        beats = list(pool.map(lambda host: code_of(calls.beat(host, 2)), hosts))
    assert beats == [(401, "key_revoked")] * FLEET
    again = calls.operator("POST", f"/agent-enrollment/tokens/{token.id}/revoke", {"cascade": True})
    assert again.json()["job"] == job


def _followed_to_the_end(calls: Calls, job_id: str, token: Token) -> dict[str, Any]:
    """Watch a job; whenever it says `done`, no agent of the token may be alive."""

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = calls.operator("GET", f"/jobs/{job_id}").json()
        if job["status"] != "done":
            assert job["status"] in {"queued", "running"}, job
            return None
        agents = calls.agents_of(token)
        assert len(agents) == FLEET
        assert {agent["status"] for agent in agents} == {"revoked"}
        return job

    found: dict[str, Any] = until(ended, "the cascade is done")
    return found


def test_enrolling_beside_a_cascade_leaves_no_agent_alive(calls: Calls) -> None:
    token = calls.mint(uses=200)
    revoked = threading.Event()
    answered: list[httpx.Response] = []

    def enroll() -> None:
        while not revoked.is_set():
            answered.append(calls.exchange(token))

    with ThreadPoolExecutor(4) as pool:
        enrolling = [pool.submit(enroll) for _ in range(4)]
        try:
            until(lambda: len(answered) >= 12, "hosts are enrolling")
            answer = calls.operator(
                "POST", f"/agent-enrollment/tokens/{token.id}/revoke", {"cascade": True}
            )
        finally:
            revoked.set()
        for one in enrolling:
            one.result()
    assert answer.status_code == 202
    job_id = answer.json()["job"]["job_id"]
    job = until(
        lambda: _done(calls.operator("GET", f"/jobs/{job_id}").json()), "the cascade is done"
    )
    accepted = [a for a in answered if a.status_code == 201]
    agents = calls.agents_of(token)
    assert len(agents) == len(accepted) == job["processed"] == calls.uses(token)
    assert {agent["status"] for agent in agents} == {"revoked"}


def _done(job: dict[str, Any]) -> dict[str, Any] | None:
    return job if job["status"] == "done" else None
