"""The audit trail's stream to the bus: duplicated, reordered, replayed, poisoned, interrupted."""

import json
import random
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator

from chalicelib import ids, runtime
from chalicelib.evidence import envelope
from tests.functional import service_faults
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.deliveries import Mapping, disturbed, invoke, shaped
from tests.functional.service_faults import OUTAGES, Trouble, partly_refused, troubled
from tests.functional.streams import Queue, Stream
from tests.functional.world import empty_tables

_SCHEMAS = envelope.schemas()


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def records(stack: dict[str, str], tenant: Tenant) -> list[dict[str, Any]]:
    """What a tenant's life leaves in the stream, as Lambda delivers it."""
    trail = Stream(stack["AuditRecordsStreamArn"])
    tenant.mint()
    host = tenant.enroll()
    assert host.beat().status == 200
    tenant.call("PATCH", f"/agents/{host.agent_id}", {"labels": {"a": "b"}})
    for _ in range(20):
        tenant.mint()
    tenant.call("POST", f"/agents/{host.agent_id}/revoke", {"note": "gone"})
    return shaped(trail.read(), stack["AuditRecordsStreamArn"])


def events_client() -> Any:
    return runtime.current().publisher._events


def changed(record: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    image = {**record["dynamodb"]["NewImage"], **attributes}
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}


def poison_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What nothing can be made of, one of each kind."""
    image = record["dynamodb"]["NewImage"]
    other = ids.new(ids.ORGANIZATION)
    return [
        {**record, "dynamodb": {"Keys": record["dynamodb"]["Keys"]}},
        {name: value for name, value in record.items() if name != "dynamodb"},
        changed(record, at={"S": "yesterday"}),
        changed(record, event={"S": "agent.exploded"}),
        changed(record, detail={"S": json.dumps({"agent_id": "x" * 300_000})}),
        changed(record, detail={"S": json.dumps({"note": "\ud800"})}),
        changed(record, detail={"M": {"agent_id": {"S": "agt_1"}}}),
        changed(record, organization={"S": other}),
        changed(record, organization={"S": "everybody"}, pk={"S": "everybody#2026-05-28#0"}),
        changed(record, pk={"S": image["pk"]["S"].replace(image["organization"]["S"], other)}),
        changed(record, id={"S": ids.new(ids.AUDIT_RECORD)}),
        changed(record, id={"S": "agt_1"}),
        changed(record, sort={"S": image["sort"]["S"][:-1]}),
        changed(record, resource_id={"NULL": True}),
    ]


def others_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Changes and ends of rows, which are no events."""
    return [{**record, "eventName": name} for name in ("MODIFY", "REMOVE")]


def identity(record: dict[str, Any]) -> str:
    return str(record["dynamodb"]["NewImage"]["id"]["S"])


def check_published(bus: Queue, records: list[dict[str, Any]]) -> list[str]:
    """All were published, in schema, one form for each identifier; their first order."""
    forms: dict[str, Any] = {}
    for message in bus.read():
        detail = message["detail"]
        Draft202012Validator(_SCHEMAS[message["detail-type"]]).validate(detail)
        assert forms.setdefault(detail["id"], detail) == detail
    assert set(forms) == {identity(record) for record in records}
    return list(forms)


@pytest.mark.parametrize("seed", range(6))
def test_all_is_published_however_the_stream_delivers_it(
    records: list[dict[str, Any]], bus: Queue, letters: Queue, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing here is a secret
    poison = [*poison_of(records[0]), *others_of(records[1])]
    mapping = Mapping("publish_events", size=chance.choice((1, 7, 100)))
    mapping.deliver(disturbed(records, poison, chance))
    assert mapping.failures == []
    check_published(bus, records)
    assert len(letters.read()) == len(poison_of(records[0]))


def test_one_kind_of_poison_makes_one_letter_with_its_reason(
    records: list[dict[str, Any]], bus: Queue, letters: Queue
) -> None:
    for bad in poison_of(records[0]):
        invoke("publish_events", {"Records": [bad]})
        (letter,) = letters.read()
        assert letter["error"], bad
    assert bus.read() == []


def test_what_is_replayed_after_hours_is_the_same_event(
    records: list[dict[str, Any]], bus: Queue, clock: FrozenClock
) -> None:
    invoke("publish_events", {"Records": records})
    first = [message["detail"] for message in bus.read()]
    clock.advance(hours=23)
    invoke("publish_events", {"Records": records})
    assert [message["detail"] for message in bus.read()] == first


@pytest.mark.parametrize("trouble", OUTAGES, ids=str)
@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_outage_of_eventbridge_loses_nothing_and_keeps_the_order(
    records: list[dict[str, Any]], bus: Queue, letters: Queue, trouble: Trouble, first: int
) -> None:
    mapping = Mapping("publish_events", size=100)
    delivered = [*poison_of(records[0])[:3], *records]
    with troubled(events_client(), "PutEvents", trouble, first=first, times=9) as met:
        mapping.deliver(delivered)
    assert met.struck == 9
    assert mapping.failures
    assert check_published(bus, records) == [identity(record) for record in records]
    # A letter whose answer was late may come twice, as everything may.
    sent = {json.dumps(letter, sort_keys=True) for letter in letters.read()}
    assert len(sent) == 3, "an outage sends no letters, and the poison one each"


@pytest.mark.parametrize(
    "code",
    ["ThrottlingException", "InternalFailure", "InternalException", "AccessDeniedException",
     "ServiceUnavailableException"],
)  # fmt: skip
def test_entries_that_are_not_taken_for_a_while_are_sent_again(
    records: list[dict[str, Any]], bus: Queue, letters: Queue, code: str
) -> None:
    left = {identity(record): 5 for record in records[::3]}

    def verdict(detail: dict[str, Any]) -> str | None:
        if left.get(detail["id"], 0):
            left[detail["id"]] -= 1
            return code
        return None

    mapping = Mapping("publish_events", size=100)
    with partly_refused(events_client(), verdict) as codes:
        mapping.deliver(records)
    assert len(codes) == 5 * len(left)
    assert mapping.failures, "three attempts in one go, and then the batch comes again"
    check_published(bus, records)
    assert letters.read() == []


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", "NobodyKnowsYet"])
def test_an_entry_that_is_never_taken_goes_to_the_dead_letters(
    records: list[dict[str, Any]], bus: Queue, letters: Queue, code: str
) -> None:
    bad = identity(records[4])
    with partly_refused(
        events_client(), lambda detail: code if detail["id"] == bad else None
    ) as codes:
        invoke("publish_events", {"Records": records})
    assert codes == [code]
    check_published(bus, [record for record in records if identity(record) != bad])
    (letter,) = letters.read()
    assert letter["error"] == f"EventBridge: {code}"
    assert json.loads(letter["record"]["Detail"])["id"] == bad


@pytest.mark.parametrize(
    "trouble",
    [service_faults.REFUSED, service_faults.SERVER_ERROR, service_faults.DENIED,
     service_faults.THROTTLED],
    ids=str,
)  # fmt: skip
def test_poison_is_not_lost_while_the_dead_letter_queue_is_down(
    records: list[dict[str, Any]], bus: Queue, letters: Queue, trouble: Trouble
) -> None:
    mapping = Mapping("publish_events", size=100)
    bad = poison_of(records[0])[0]
    with troubled(runtime.current().publisher._sqs, "SendMessage", trouble, times=6):
        mapping.deliver([bad, *records])
    assert mapping.failures
    check_published(bus, records)
    assert len({json.dumps(letter, sort_keys=True) for letter in letters.read()}) == 1


def test_a_dead_letter_queue_that_is_down_blocks_no_batch_without_poison(
    records: list[dict[str, Any]], bus: Queue, stack: dict[str, str]
) -> None:
    mapping = Mapping("publish_events", size=100)
    with troubled(runtime.current().publisher._sqs, "SendMessage", service_faults.REFUSED):
        mapping.deliver(records)
    assert mapping.failures == []
    check_published(bus, records)
    assert boto3.client("sqs").get_queue_url(QueueName=stack["DeadLetterQueueUrl"].split("/")[-1])
