"""Records of the jobs table's stream that no job can be made of."""

from typing import Any

import boto3
import pytest

from chalicelib import workers
from chalicelib.store import jobs
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.streams import Queue, Stream
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def stream(stack: dict[str, str]) -> Stream:
    return Stream(stack["JobsStreamArn"])


@pytest.mark.parametrize(
    "image",
    [
        {"pk": {"S": "x"}}, {"pk": "x"}, {"pk": {"S": "org#job"}, "step": {"N": "one"}},
        {"step": {"N": "0"}}, {"": {}}, {"pk": {"S": "org_1#job_1"}, "step": {"S": "0"}},
        {"pk": {"S": "org_1#job_1"}, "job_id": {"N": "1"}},
    ],
)  # fmt: skip
def test_poison_goes_to_the_dead_letters_and_the_good_record_beside_it_is_worked(
    tenant: Tenant, stream: Stream, stack: dict[str, str], image: dict[str, Any]
) -> None:
    letters = Queue(stack["DeadLetterQueueUrl"])
    letters.read()
    minted = tenant.mint()
    agent = tenant.exchange(minted["token"]).body["agent_id"]
    path = f"/agent-enrollment/tokens/{minted['enrollment_token_id']}/revoke"
    assert tenant.call("POST", path, {"cascade": True}).status == 202
    (good,) = stream.read()
    poison = {"eventName": "INSERT", "dynamodb": {"NewImage": image}}
    workers.run_jobs([poison, good], None)
    (letter,) = letters.read()
    assert letter["record"] == poison
    assert letter["error"]
    assert tenant.call("GET", f"/agents/{agent}").body["status"] == "revoked"


def test_the_end_of_a_row_is_no_step(tenant: Tenant, stack: dict[str, str]) -> None:
    letters = Queue(stack["DeadLetterQueueUrl"])
    letters.read()
    workers.run_jobs([{"eventName": "REMOVE", "dynamodb": {"Keys": {"pk": {"S": "a#b"}}}}], None)
    assert letters.read() == []
    assert tenant.call("GET", "/agents").body["agents"] == []


def test_a_defect_in_one_job_does_not_block_the_others(
    tenant: Tenant, stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.flows import job_steps

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(job_steps, "step", broken)
    sqs = boto3.client("sqs")
    sqs.purge_queue(QueueUrl=stack["DeadLetterQueueUrl"])
    token = tenant.mint()["enrollment_token_id"]
    job = tenant.call("POST", f"/agent-enrollment/tokens/{token}/revoke", {"cascade": True}).body[
        "job"
    ]["job_id"]
    row = jobs.find(tenant.organization, job)
    assert row is not None
    workers.run_jobs([{"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}}], None)
    letters = sqs.receive_message(QueueUrl=stack["DeadLetterQueueUrl"])["Messages"]
    assert "ZeroDivisionError" in letters[0]["Body"]


def test_a_job_that_nothing_drives_any_more_starts_again_when_it_is_asked_for(
    tenant: Tenant, clock: FrozenClock
) -> None:
    token = tenant.mint()["enrollment_token_id"]
    path = f"/agent-enrollment/tokens/{token}/revoke"
    job = tenant.call("POST", path, {"cascade": True}).body["job"]
    clock.advance(seconds=60)
    assert tenant.call("POST", path, {"cascade": True}).body["job"] == job
    clock.advance(seconds=15 * 60)
    again = tenant.call("POST", path, {"cascade": True})
    assert (again.status, again.body["job"]["status"]) == (202, "queued")
    assert again.body["job"]["job_id"] == job["job_id"]
    assert again.body["job"]["created_at"] > job["created_at"]
