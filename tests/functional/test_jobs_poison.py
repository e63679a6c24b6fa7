"""Records of the jobs table's stream that no job can be made of."""

from typing import Any

import pytest

from chalicelib import workers
from tests.functional.api import Tenant
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
