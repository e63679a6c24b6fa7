"""The jobs' stream: duplicated, reordered, replayed, poisoned, with its services down."""

import random
from typing import Any

import pytest

from chalicelib import ids, runtime, workers
from tests.functional import service_faults
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.deliveries import Context, Mapping, disturbed, shaped
from tests.functional.laws import faults
from tests.functional.laws.faults import injected
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.service_faults import Trouble, troubled
from tests.functional.streams import Queue, Stream
from tests.functional.world import empty_tables

_AGENTS = 5


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> Any:
    assert stack
    empty_tables()
    with one_at_a_time():
        yield


class Cascade:
    """A token with agents, whose cascade was asked for."""

    def __init__(self, tenant: Tenant, stream: Stream, arn: str) -> None:
        self.tenant = tenant
        self._stream, self._arn = stream, arn
        stream.read()
        token = tenant.mint(max_uses=_AGENTS)
        self.agents = [
            tenant.exchange(token["token"], hostname=f"host-{number}").body["agent_id"]
            for number in range(_AGENTS)
        ]
        path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
        answer = tenant.call("POST", path, {"cascade": True})
        assert answer.status == 202, answer.body
        self.job = answer.body["job"]["job_id"]

    def records(self) -> list[dict[str, Any]]:
        """What came into the stream since the last look."""
        return shaped(self._stream.read(), self._arn)

    def check_done(self) -> None:
        """The job is done; each agent was ended once, and so was the job."""
        assert self.tenant.call("GET", f"/jobs/{self.job}").body["status"] == "done"
        for agent in self.agents:
            events = [record["event"] for record in self.tenant.audit("agent", agent)]
            assert events.count("agent.revoked") == 1
        events = [record["event"] for record in self.tenant.audit("job", self.job)]
        assert events.count("job.finished") == 1


@pytest.fixture
def cascade(tenant: Tenant, stack: dict[str, str]) -> Cascade:
    return Cascade(tenant, Stream(stack["JobsStreamArn"]), stack["JobsStreamArn"])


def changed(record: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    image = {**record["dynamodb"]["NewImage"], **attributes}
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}


def poison_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What no job can be made of."""
    return [
        {**record, "dynamodb": {"Keys": record["dynamodb"]["Keys"]}},
        {name: value for name, value in record.items() if name != "dynamodb"},
        {**record, "dynamodb": {"NewImage": "image"}},
        changed(record, step={"S": "0"}),
        changed(record, job_id={"S": ids.new(ids.JOB)}),
        changed(record, pk={"S": "everybody"}),
        changed(record, pk={"S": f"#{record['dynamodb']['NewImage']['job_id']['S']}"}),
        changed(record, pk={"S": "x" * 300_000}),
        changed(record, processed={"S": "many"}),
    ]


def no_steps_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Records that are understood and ask for nothing."""
    job = record["dynamodb"]["NewImage"]["job_id"]["S"]
    foreign = f"{ids.new(ids.ORGANIZATION)}#{job}"
    return [
        {**record, "eventName": "REMOVE"},
        changed(record, step={"N": "99"}),
        changed(record, pk={"S": foreign}),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_job_is_done_once_however_the_stream_delivers_it(
    cascade: Cascade, letters: Queue, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing here is a secret
    mapping = Mapping("run_jobs", size=1)
    first = cascade.records()
    poison = [*poison_of(first[0]), *no_steps_of(first[0])]
    mapping.deliver(disturbed(first, poison, chance))
    seen = list(first)
    while more := cascade.records():
        seen += more
        mapping.deliver(disturbed(seen, [], chance))
    assert mapping.failures == []
    cascade.check_done()
    assert len(letters.read()) == len(poison_of(first[0]))


def test_a_batch_of_many_records_is_worked_past_the_poison(
    cascade: Cascade, letters: Queue
) -> None:
    (good,) = cascade.records()
    poison = poison_of(good)
    Mapping("run_jobs", size=100).deliver([*poison, good, *poison, good])
    cascade.check_done()
    assert len(letters.read()) == 2 * len(poison)


def test_what_is_replayed_after_hours_changes_nothing(
    cascade: Cascade, clock: FrozenClock, letters: Queue
) -> None:
    mapping = Mapping("run_jobs", size=1)
    seen: list[dict[str, Any]] = []
    while more := cascade.records():
        seen += more
        mapping.deliver(more)
    before = cascade.tenant.call("GET", f"/jobs/{cascade.job}").body
    clock.advance(hours=23)
    mapping.deliver(seen[::-1])
    assert cascade.tenant.call("GET", f"/jobs/{cascade.job}").body == before
    cascade.check_done()
    assert cascade.records() == letters.read() == []


class Hurried(Context):
    """Lambda is about to end the function."""

    def get_remaining_time_in_millis(self) -> int:
        return 0


def test_a_step_that_was_overtaken_is_passed_over(cascade: Cascade) -> None:
    first = cascade.records()
    workers.run_jobs(first, Hurried())
    second = cascade.records()
    assert len(second) == 1, "the job is not done, and its next step is in the stream"
    for _ in range(3):
        workers.run_jobs(first, Hurried())
    assert cascade.records() == [], "no step is taken twice, and none makes more of them"
    Mapping("run_jobs", size=1).deliver(second)
    cascade.check_done()


@pytest.mark.parametrize(
    "fault", [faults.DROPPED, faults.LOST, faults.SERVER_ERROR, faults.DENIED, faults.CONFLICT],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("first", [1, 3, 6])
def test_a_job_outlives_an_outage_of_the_database(
    cascade: Cascade, letters: Queue, fault: faults.Fault, first: int
) -> None:
    mapping = Mapping("run_jobs", size=1)
    pending = cascade.records()
    with injected(fault, first=first, times=12) as meeting:
        while pending:
            mapping.deliver(pending)
            pending = cascade.records()
    assert meeting.seen >= first
    while pending := cascade.records():
        mapping.deliver(pending)
    cascade.check_done()
    assert letters.read() == [], "an outage is no verdict on a job"


@pytest.mark.parametrize(
    "trouble", [service_faults.REFUSED, service_faults.SERVER_ERROR, service_faults.DENIED], ids=str
)
def test_poison_is_not_lost_while_the_dead_letter_queue_is_down(
    cascade: Cascade, letters: Queue, trouble: Trouble
) -> None:
    (good,) = cascade.records()
    mapping = Mapping("run_jobs", size=1)
    with troubled(runtime.current().publisher._sqs, "SendMessage", trouble, times=6):
        mapping.deliver([poison_of(good)[0], good])
    assert mapping.failures
    cascade.check_done()
    assert len(letters.read()) == 1
