"""Law 3 in bulk: a cascade over a whole fleet, its rate, and what is refused meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.local_stack import LocalStack
from tests.e2e.stack.aws_requests import kill_workers
from tests.e2e.stack.calls import Calls, Token, until
from tests.engines import figures
from tests.engines.fleets import enroll_at_once
from tests.engines.in_process import of_stage
from tests.engines.presigned import another_tenant
from tests.process_environment import surrounded_by

FLEET = int(os.environ.get("ROLLCALL_CASCADE_AGENTS", "2000"))
"""Ten thousand for `docs/figures.md`: they take longer than a gate should."""
SMALL_FLEET = 1_000
PATIENCE_SECONDS = 240.0
AGENT_REVOKED = "agent.revoked"


@dataclass
class Cascade:
    """A token with a fleet, and the job that ends it.

    Args:
        calls: the operator's.
        token: the token.
        key: the idempotency key of the one host that enrolled over the API.
        agents: all that the token made.
    """

    calls: Calls
    token: Token
    key: str
    agents: list[str]
    job_id: str = ""
    processed: list[int] = field(default_factory=list)
    """How far the job said it had come, each time that it said something else."""

    @classmethod
    def prepare(cls, stack: LocalStack, calls: Calls, agents: int) -> Cascade:
        """Enroll one host over the API, and the others at once."""
        token = calls.mint(uses=agents)
        key = "k" * 43
        first = calls.exchange(token, key=key)
        assert first.status_code == 201, first.text
        with surrounded_by(of_stage(stack)):
            now = time.time_ns() // 1_000_000
            others = enroll_at_once(stack.organization, token.id, agents - 1, now)
        return cls(calls, token, key, [first.json()["agent_id"], *others])

    def start(self) -> None:
        """Revoke the token and all that it made."""
        answer = self.calls.operator(
            "POST", f"/agent-enrollment/tokens/{self.token.id}/revoke", {"cascade": True}
        )
        assert answer.status_code == 202, answer.text
        self.job_id = answer.json()["job"]["job_id"]

    def job(self) -> dict[str, Any]:
        """How far it has come."""
        found: dict[str, Any] = self.calls.operator("GET", f"/jobs/{self.job_id}").json()
        assert found["status"] in {"queued", "running", "done"}, found
        if found["processed"] not in self.processed[-1:]:
            self.processed.append(found["processed"])
        return found

    def finish(self) -> dict[str, Any]:
        """Wait for the last agent."""
        found: dict[str, Any] = until(
            lambda: (job := self.job())["status"] == "done" and job,
            "the cascade is done",
            seconds=PATIENCE_SECONDS,
        )
        return found

    def enrolling(self) -> set[tuple[int, str]]:
        """What a new host is told, and the one that asks for its lost answer again."""
        asked = [self.calls.exchange(self.token), self.calls.exchange(self.token, key=self.key)]
        return {(answer.status_code, answer.json()["code"]) for answer in asked}


@pytest.fixture
def quiet(stack: LocalStack) -> Iterator[None]:
    """Leave no deliveries behind: an event for each agent takes longer than its end."""
    yield
    stack.cloud.wait_idle(PATIENCE_SECONDS)


@contextmanager
def asked_all_the_time(cascade: Cascade) -> Iterator[list[set[tuple[int, str]]]]:
    """Ask for an enrollment again and again while the block runs."""
    told: list[set[tuple[int, str]]] = []
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            told.append(cascade.enrolling())
            stopped.wait(0.2)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield told
    finally:
        stopped.set()
        asking.join()


def rows(stack: LocalStack, table: str) -> Iterator[dict[str, Any]]:
    """All rows of the organization in a table, as they are now."""
    pages = (
        stack.target.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=stack.outputs["TablePrefix"] + table,
            FilterExpression="begins_with(pk, :organization)",
            ExpressionAttributeValues={":organization": {"S": stack.organization}},
            ConsistentRead=True,
        )
    )
    for page in pages:
        yield from page["Items"]


def assert_all_ended(stack: LocalStack, cascade: Cascade) -> None:
    """Identity, presence, the entry of the end and the evidence of each agent, once."""
    agents = set(cascade.agents)
    ended = {row["pk"]["S"].split("#")[1]: row for row in rows(stack, "agent_presence")}
    assert {ended[agent]["s"]["S"] for agent in agents} == {"revoked"}
    identities = {
        row["pk"]["S"].split("#")[1]: row
        for row in rows(stack, "agent_identities")
        if "status" in row
    }
    assert {identities[agent]["status"]["S"] for agent in agents} == {"revoked"}
    assert agents <= {row["agent_id"]["S"] for row in rows(stack, "agent_revocations")}
    told = Counter(
        row["resource_id"]["S"]
        for row in rows(stack, "audit_records")
        if row["event"]["S"] == AGENT_REVOKED
    )
    assert {told[agent] for agent in agents} == {1}


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("quiet")
def test_a_cascade_over_a_large_fleet(stack: LocalStack, calls: Calls) -> None:
    cascade = Cascade.prepare(stack, calls, FLEET)
    cascade.start()
    begun = time.monotonic()
    refused = cascade.enrolling()
    with asked_all_the_time(cascade) as told:
        job = cascade.finish()
    seconds = time.monotonic() - begun
    assert (job["processed"], job["total"]) == (FLEET, FLEET)
    assert_all_ended(stack, cascade)
    assert refused == {(410, "token_revoked")}
    assert set().union(*told) == {(410, "token_revoked")}
    assert cascade.processed == sorted(cascade.processed)
    assert [step for step in cascade.processed if 0 < step < FLEET]
    figures.note(
        "law_3_cascade",
        {
            "agents": FLEET,
            "seconds": round(seconds, 1),
            "agents_per_second": round(FLEET / seconds),
            "progress_seen": cascade.processed,
            "exchanges_refused_meanwhile": 2 * len(told),
        },
    )


@pytest.mark.usefixtures("quiet")
def test_a_cascade_goes_on_after_its_worker_was_killed(stack: LocalStack, calls: Calls) -> None:
    cascade = Cascade.prepare(stack, calls, SMALL_FLEET)
    cascade.start()
    worker = stack.cloud.functions[f"rollcall-{stack.target.stage}-run_jobs"]
    until(lambda: cascade.job()["processed"] > 0, "the job has come somewhere", pause=0.01)
    kill_workers(worker)
    come = cascade.job()
    assert come["status"] == "running"
    assert 0 < come["processed"] < SMALL_FLEET
    job = cascade.finish()
    assert (job["processed"], job["total"]) == (SMALL_FLEET, SMALL_FLEET)
    assert cascade.processed == sorted(cascade.processed)
    assert_all_ended(stack, cascade)
    done = cascade.calls.operator(
        "GET", f"/audit-records?resource_type=job&resource_id={cascade.job_id}"
    ).json()["audit_records"]
    assert sorted(record["event"] for record in done) == ["job.finished", "job.started"]


def test_minting_and_exchanging_stop_at_once_below_a_parent_that_ends(
    calls: Calls, tmp_path: Path
) -> None:
    """Whatever comes to delete environments writes this row first, and then ends the agents."""
    with another_tenant(calls, tmp_path) as theirs:
        token = theirs.mint(uses=3)
        host = theirs.online(token)
        theirs.stack.target.client("dynamodb").update_item(
            TableName=theirs.stack.outputs["TablePrefix"] + "organizations",
            Key={
                "organization": {"S": theirs.stack.organization},
                "item": {"S": f"environment#{theirs.stack.environment}"},
            },
            UpdateExpression="SET #status = :ending",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":ending": {"S": "ending"}},
        )
        wish = {"environment": theirs.stack.environment}
        minted = theirs.operator("POST", "/agent-enrollment/tokens", wish)
        exchanged = theirs.exchange(token)
        told = [(answer.status_code, answer.json()["code"]) for answer in (minted, exchanged)]
        assert told == [(404, "environment_not_found"), (403, "environment_closed")]
        asked = theirs.send("GET", host.path("artifacts/art_" + "0" * 20), credential=host.key)
        assert asked.json()["code"] == "artifact_not_found"
