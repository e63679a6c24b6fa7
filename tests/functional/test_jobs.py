"""Law 3: revoking a token's agents is a job, and `done` means the last one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib import workers
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.people import person, personal_token
from tests.functional.refused_requests import refused_requests
from tests.functional.streams import Stream
from tests.functional.world import empty_tables, organization_key_with

AGENTS = 5


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture(autouse=True)
def _in_turn() -> Iterator[None]:
    with one_at_a_time():
        yield


@pytest.fixture
def stream(stack: dict[str, str]) -> Stream:
    return Stream(stack["JobsStreamArn"])


def fleet(tenant: Tenant, count: int = AGENTS) -> tuple[str, list[str]]:
    """A token and the agents that it made."""
    token = tenant.mint(max_uses=max(count, 1) + 1)
    agents = []
    for _ in range(count):
        answer = tenant.exchange(token["token"])
        assert answer.status == 201
        agents.append(answer.body["agent_id"])
    return token["enrollment_token_id"], agents


def cascade(tenant: Tenant, token: str, **more: Any) -> Answer:
    """Ask for the end of a token and its agents."""
    path = f"/agent-enrollment/tokens/{token}/revoke"
    return tenant.call("POST", path, {"cascade": True, **more})


@pytest.mark.parametrize("revoked_before", [False, True])
@pytest.mark.parametrize(
    "caller",
    [
        organization_key_with,
        lambda tenant, scopes: personal_token(tenant, person(tenant, "operator").user, scopes)[0],
    ],
    ids=["organization key", "personal token"],
)
def test_a_cascade_takes_the_scope_to_end_agents(
    tenant: Tenant, caller: Callable[[Tenant, set[str]], str], *, revoked_before: bool
) -> None:
    token, (agent,) = fleet(tenant, 1)
    path = f"/api/v1/agent-enrollment/tokens/{token}/revoke"
    if revoked_before:
        assert tenant.api.call("POST", path, credential=tenant.key).status == 200
    weak = caller(tenant, {"enrollment:write", "enrollment:read"})
    refused = tenant.api.call("POST", path, {"cascade": True}, credential=weak)
    assert (refused.status, refused.code) == (403, "scope_missing")
    shown = tenant.call("GET", f"/agent-enrollment/tokens/{token}").body
    assert shown["status"] == ("revoked" if revoked_before else "active")
    assert tenant.call("GET", f"/agents/{agent}").body["status"] == "enrolled"
    # To end the token alone takes no more than before.
    assert tenant.api.call("POST", path, {"cascade": False}, credential=weak).status == 200
    able = caller(tenant, {"enrollment:write", "agents:write"})
    assert tenant.api.call("POST", path, {"cascade": True}, credential=able).status == 202


def job(tenant: Tenant, identifier: str) -> dict[str, Any]:
    """The job as operators see it."""
    answer = tenant.call("GET", f"/jobs/{identifier}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def statuses(tenant: Tenant, agents: list[str]) -> list[str]:
    """The agents' statuses."""
    return [tenant.call("GET", f"/agents/{agent}").body["status"] for agent in agents]


class Ending:
    """A function's context, whose time is up after some looks at it."""

    aws_request_id = "the-functions-own"

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def get_remaining_time_in_millis(self) -> int:
        self._looks -= 1
        return 60_000 if self._looks >= 0 else 1_000


def work_off(stream: Stream, context: Any = None, *, at_most: int = 100) -> int:
    """Give the function record after record until none is left; how many there were."""
    count = 0
    while records := stream.read():
        for record in records:
            count += 1
            assert count <= at_most, "the job does not end"
            workers.run_jobs([record], context)
    return count


@contextmanager
def refused(needle: str, times: int) -> Iterator[list[str]]:
    """DynamoDB refuses the writes that contain a text, some times; the refused ones."""
    hits: list[str] = []

    def wanted(_: int, body: str) -> bool:
        if needle not in body or "TransactItems" not in body or len(hits) >= times:
            return False
        hits.append(body)
        return True

    with refused_requests(wanted):
        yield hits


def test_a_cascade_is_accepted_and_done_after_the_last_agent(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    token, agents = fleet(tenant)
    bystander = tenant.enroll(hostname="bystander").agent_id
    accepted = cascade(tenant, token, note="leaked")
    assert accepted.status == 202
    assert accepted.body["status"] == "revoked"
    started = accepted.body["job"]
    assert (started["status"], started["processed"], started["total"]) == ("queued", 0, None)
    assert (started["kind"], started["target"]) == ("revoke_agents_of_token", token)
    assert job(tenant, started["job_id"]) == started
    assert statuses(tenant, agents) == ["enrolled"] * AGENTS
    clock.advance(seconds=3)
    assert work_off(stream) == 2
    ended = job(tenant, started["job_id"])
    assert (ended["status"], ended["processed"], ended["total"]) == ("done", AGENTS, AGENTS)
    assert (ended["last_error"], ended["updated_at"]) == (None, "2026-05-28T20:26:43.000Z")
    assert statuses(tenant, [*agents, bystander]) == ["revoked"] * AGENTS + ["enrolled"]


def test_the_evidence_of_a_cascade_names_job_and_note(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    token, agents = fleet(tenant, 2)
    started = cascade(tenant, token, note="leaked").body["job"]["job_id"]
    clock.advance(seconds=1)
    work_off(stream)
    for agent in agents:
        record = tenant.audit("agent", agent)[-1]
        assert record["event"] == "agent.revoked"
        assert (record["detail"]["job_id"], record["detail"]["note"]) == (started, "leaked")
        assert record["actor"]["type"] == "organization_key"
    events = tenant.audit("job", started)
    assert [record["event"] for record in events] == ["job.started", "job.finished"]
    assert events[1]["detail"] == {
        "job_id": started,
        "kind": "revoke_agents_of_token",
        "status": "done",
        "processed": 2,
    }


def test_the_token_stops_at_once(tenant: Tenant) -> None:
    minted = tenant.mint(max_uses=9)
    assert tenant.exchange(minted["token"]).status == 201
    cascade(tenant, minted["enrollment_token_id"])
    assert tenant.exchange(minted["token"]).code == "token_revoked"


def test_a_token_without_agents_is_done_at_once(tenant: Tenant, stream: Stream) -> None:
    token, _ = fleet(tenant, 0)
    started = cascade(tenant, token).body["job"]["job_id"]
    work_off(stream)
    ended = job(tenant, started)
    assert (ended["status"], ended["processed"], ended["total"]) == ("done", 0, 0)


def test_asking_twice_gives_the_same_job_and_starts_no_second_one(
    tenant: Tenant, stream: Stream
) -> None:
    token, agents = fleet(tenant, 2)
    first, second = cascade(tenant, token), cascade(tenant, token, note="again")
    assert (first.status, second.status) == (202, 202)
    assert first.body["job"] == second.body["job"]
    work_off(stream)
    third = cascade(tenant, token)
    assert third.body["job"]["job_id"] == first.body["job"]["job_id"]
    assert third.body["job"]["status"] == "done"
    assert stream.read() == []
    events = [record["event"] for record in tenant.audit("job", third.body["job"]["job_id"])]
    assert sorted(events) == ["job.finished", "job.started"]
    assert statuses(tenant, agents) == ["revoked"] * 2


def test_a_token_that_was_revoked_before_can_still_be_cascaded(
    tenant: Tenant, stream: Stream
) -> None:
    token, agents = fleet(tenant, 2)
    plain = tenant.call("POST", f"/agent-enrollment/tokens/{token}/revoke", {"cascade": False})
    assert plain.status == 200
    assert cascade(tenant, token).status == 202
    work_off(stream)
    assert statuses(tenant, agents) == ["revoked"] * 2


def test_agents_that_ended_before_count_as_ended(tenant: Tenant, stream: Stream) -> None:
    token, agents = fleet(tenant, 3)
    tenant.call("POST", f"/agents/{agents[0]}/revoke", {"note": "by hand"})
    started = cascade(tenant, token).body["job"]["job_id"]
    work_off(stream)
    assert (job(tenant, started)["status"], job(tenant, started)["processed"]) == ("done", 3)
    events = tenant.audit("agent", agents[0])
    revoked = [record["detail"] for record in events if record["event"] == "agent.revoked"]
    assert revoked == [{"agent_id": agents[0], "note": "by hand", "job_id": None}]


def test_repeated_and_overtaken_records_do_nothing(tenant: Tenant, stream: Stream) -> None:
    token, agents = fleet(tenant, 2)
    started = cascade(tenant, token).body["job"]["job_id"]
    records = stream.read()
    for record in records * 3:
        workers.run_jobs([record], None)
    later = stream.read()
    assert len(later) == 1
    ended = job(tenant, started)
    assert ended["status"] == "done"
    for record in (records + later) * 2:
        workers.run_jobs([record], None)
    assert stream.read() == []
    assert job(tenant, started) == ended
    for agent in agents:
        events = [record["event"] for record in tenant.audit("agent", agent)]
        assert events.count("agent.revoked") == 1


def test_a_function_that_runs_out_of_time_goes_on_in_the_next_step(
    tenant: Tenant, stream: Stream
) -> None:
    token, agents = fleet(tenant)
    started = cascade(tenant, token).body["job"]["job_id"]
    (record,) = stream.read()
    workers.run_jobs([record], Ending(0))
    half = job(tenant, started)
    assert half["status"] == "running"
    assert half["total"] is None or half["total"] > half["processed"]
    assert work_off(stream) >= 1
    ended = job(tenant, started)
    assert (ended["status"], ended["processed"], ended["total"]) == ("done", AGENTS, AGENTS)
    assert statuses(tenant, agents) == ["revoked"] * AGENTS


def test_a_step_that_fails_is_repeated_until_it_succeeds(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    token, agents = fleet(tenant, 2)
    started = cascade(tenant, token).body["job"]["job_id"]
    (first,) = stream.read()
    with refused("agent_revocations", 3) as seen:
        workers.run_jobs([first], None)
        failed = job(tenant, started)
        assert (failed["status"], failed["last_error"]) == ("running", "store_unavailable")
        work_off(stream)
    assert len(seen) == 3
    ended = job(tenant, started)
    assert (ended["status"], ended["last_error"], ended["processed"]) == ("done", None, 2)
    assert statuses(tenant, agents) == ["revoked"] * 2
    assert clock.slept


def test_a_step_that_never_succeeds_makes_the_job_fail_and_asking_again_starts_it_again(
    tenant: Tenant, stream: Stream
) -> None:
    token, agents = fleet(tenant, 2)
    started = cascade(tenant, token).body["job"]["job_id"]
    with refused("agent_revocations", 10_000):
        steps = work_off(stream)
    assert 2 < steps <= 25
    ended = job(tenant, started)
    assert (ended["status"], ended["last_error"]) == ("failed", "store_unavailable")
    assert statuses(tenant, agents) == ["enrolled"] * 2
    finished = [r for r in tenant.audit("job", started) if r["event"] == "job.finished"]
    assert [record["detail"]["status"] for record in finished] == ["failed"]
    again = cascade(tenant, token)
    assert (again.status, again.body["job"]["job_id"]) == (202, started)
    assert again.body["job"]["status"] == "queued"
    work_off(stream)
    assert job(tenant, started)["status"] == "done"
    assert statuses(tenant, agents) == ["revoked"] * 2


def test_an_outcome_that_cannot_be_written_lets_the_stream_repeat_the_record(
    tenant: Tenant, stream: Stream
) -> None:
    from chalicelib.errors import Unavailable

    token, agents = fleet(tenant, 1)
    started = cascade(tenant, token).body["job"]["job_id"]
    (record,) = stream.read()
    with refused("job.finished", 1), pytest.raises(Unavailable):
        workers.run_jobs([record], None)
    assert job(tenant, started)["status"] == "queued"
    workers.run_jobs([record], None)
    assert job(tenant, started)["status"] == "done"
    assert statuses(tenant, agents) == ["revoked"]
