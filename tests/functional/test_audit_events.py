"""From the audit trail's stream to the event bus: every event, in schema, past all poison."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import msgspec
import pytest
from jsonschema import Draft202012Validator

from chalicelib import workers
from chalicelib.evidence import envelope
from chalicelib.evidence.catalog import ALL
from chalicelib.evidence.publisher import envelope_of
from chalicelib.store import audit_records
from tests.functional.api import Api, Tenant
from tests.functional.lived_agents import live_agents
from tests.functional.lived_machines import live_machines
from tests.functional.lived_parents import live as live_parents
from tests.functional.lived_people import live as live_people
from tests.functional.oidc.lived import live as live_sign_on
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.people import person
from tests.functional.streams import Queue, Stream
from tests.functional.world import artifact_wish, empty_tables, put_incoming, running_api

_SCHEMAS = envelope.schemas()
SECRETS = re.compile(r"(?<![a-z])rc[a-z]_|BEGIN|canary")


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> Iterator[None]:
    assert stack
    empty_tables()
    with one_at_a_time():
        yield


@pytest.fixture
def trail(stack: dict[str, str]) -> Stream:
    return Stream(stack["AuditRecordsStreamArn"])


@dataclass
class Lived:
    """All that leaves evidence, done once: the stream's records of it, and the published forms."""

    records: list[dict[str, Any]]
    published: list[dict[str, Any]]


@pytest.fixture(scope="module")
def lived(stack: dict[str, str]) -> Lived:
    with running_api() as api, one_at_a_time():
        trail, jobs = Stream(stack["AuditRecordsStreamArn"]), Stream(stack["JobsStreamArn"])
        live(api, jobs)
        rows = list(audit_records.AuditRecordItem.scan())
    # As JSON, which is what is published: it knows lists and no tuples.
    return Lived(trail.read(), [json.loads(msgspec.json.encode(envelope_of(row))) for row in rows])


def live(api: Api, jobs: Stream) -> None:
    """One of every event."""
    clock = api.clock
    tenant = api.new_tenant()
    token = tenant.mint(max_uses=3, labels={"site": "köln"}, hostname="host-1.example")
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}"
    assert tenant.exchange(token["token"], hostname="wrong").status == 403
    key = "k" * 40
    for status in (201, 200):
        answer = tenant.exchange(
            token["token"], idempotency_key=key, machine_id="canary-machine-id"
        )
        assert answer.status == status, answer.body
    host = tenant.enroll(hostname="host-2", name="host-2")
    assert host.beat().status == 200
    clock.advance(seconds=60)
    host.instance, host.sequence = "another-process-of-it", 0
    assert host.beat().status == 200
    clock.advance(hours=2)
    workers.sweep(None)
    assert host.beat().status == 200
    assert host.beat(nonce="m" * 20).status == 429
    good, bad = artifact_wish(b"good"), artifact_wish(b"bad")
    for wish, content in ((good, b"good"), (bad, b"not what was said")):
        announced = host.call("POST", "/artifacts", wish).body["artifact_id"]
        workers.verify(put_incoming(tenant, host.agent_id, announced, content), None)
    again = {**good, "metadata": {"case": "köln"}}
    assert host.call("POST", "/artifacts", again).body["deduplicated"]
    tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": "other", "labels": {"a": "b"}})
    tenant.call("POST", f"/agents/{host.agent_id}/revoke", {"note": "gone"})
    tenant.call("POST", f"{path}/revoke", {"cascade": True, "note": "leaked"})
    live_agents(api.new_tenant())
    live_machines(api.new_tenant())
    live_people(tenant)
    live_sign_on(person(tenant, "org_admin"))
    live_parents(api.new_tenant())
    while records := jobs.read():
        workers.run_jobs(records, None)


def test_every_event_is_published_in_its_schema(
    api: Api, lived: Lived, bus: Queue, letters: Queue
) -> None:
    assert api
    published = workers.publish(lived.records)
    assert (published.events, published.poison) == (len(lived.records), 0)
    messages = bus.read()
    assert len(messages) == len(lived.records) == len(lived.published)
    for message in messages:
        assert message["source"] == "rollcall"
        detail = message["detail"]
        assert message["detail-type"] == detail["event"]
        Draft202012Validator(_SCHEMAS[detail["event"]]).validate(detail)
    assert {message["detail-type"] for message in messages} == set(ALL)
    assert letters.read() == []


@pytest.mark.parametrize("event", ALL)
def test_every_event_was_lived_and_has_a_published_form_in_its_schema(
    lived: Lived, event: str
) -> None:
    found = [published for published in lived.published if published["event"] == event]
    assert found
    for published in found:
        Draft202012Validator(_SCHEMAS[event]).validate(published)


def test_no_secret_is_in_any_event(lived: Lived) -> None:
    assert SECRETS.findall(json.dumps([lived.records, lived.published])) == []


@pytest.mark.parametrize("event", ALL)
def test_a_schema_refuses_what_is_not_of_it(lived: Lived, event: str) -> None:
    validator = Draft202012Validator(_SCHEMAS[event])
    published = next(one for one in lived.published if one["event"] == event)
    assert validator.is_valid(published)
    for wrong in (
        {**published, "event": "agent.other"},
        {**published, "version": 2},
        {**published, "detail": {}},
        {**published, "detail": {**published["detail"], "unknown": 1}},
        {name: value for name, value in published.items() if name != "id"},
        {**published, "unknown": 1},
        {**published, "outcome": "maybe"},
    ):
        assert not validator.is_valid(wrong), wrong


def test_records_that_come_again_are_published_under_the_same_id(
    tenant: Tenant, trail: Stream, bus: Queue
) -> None:
    trail.read()
    tenant.mint()
    records = trail.read()
    for _ in range(2):
        workers.publish(records)
    first, second = bus.read()
    assert first["detail"] == second["detail"]


def poisoned(record: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A record with other attributes in its image."""
    image = {**record["dynamodb"]["NewImage"], **changed}
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}


def poison(good: dict[str, Any]) -> list[dict[str, Any]]:
    """Records that no event can be made of."""
    images: list[Any] = [
        None,
        {},
        {"x": {"S": "y"}},
        {"pk": "raw"},
        {"pk": {"Z": "1"}},
        [],
        "image",
    ]
    odd = [{**good, "dynamodb": {"NewImage": image}} for image in images]
    return [
        *odd,
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": None},
        {"eventName": "INSERT", "dynamodb": "text"},
        poisoned(good, event={"S": "agent.exploded"}),
        poisoned(good, event={"S": ""}),
        poisoned(good, event={"NULL": True}),
        poisoned(good, detail={"S": "{}"}),
        poisoned(good, detail={"S": "not json"}),
        poisoned(good, detail={"S": "[]"}),
        poisoned(good, detail={"S": '{"token_id": 7}'}),
        poisoned(good, detail={"S": '{"unknown": 7}'}),
        poisoned(good, detail={"S": "[" * 5000}),
        poisoned(good, detail={"NULL": True}),
        poisoned(good, at={"S": "now"}),
        poisoned(good, at={"N": "1e30"}),
        poisoned(good, at={"N": "-99999999999999999"}),
        poisoned(good, at={"NULL": True}),
        poisoned(good, outcome={"S": "maybe"}),
        poisoned(good, id={"N": "7"}),
        poisoned(good, id={"NULL": True}),
        poisoned(good, actor_id={"NULL": True}),
    ]


def test_poison_goes_to_the_dead_letters_and_the_good_beside_it_is_published(
    tenant: Tenant, trail: Stream, bus: Queue, letters: Queue
) -> None:
    trail.read()
    tenant.mint(note="first")
    tenant.mint(note="second")
    before, after = (record for record in trail.read() if record["eventName"] == "INSERT")
    every = poison(before)
    for number, bad in enumerate(every):
        published = workers.publish([before, bad, after])
        assert (published.events, published.poison) == (2, 1), f"{number}: {bad}"
    names = [message["detail"]["resource"]["id"] for message in bus.read()]
    assert (len(names), len(set(names))) == (2 * len(every), 2)
    found = letters.read()
    assert len(found) == len(every)
    assert all(letter["error"] for letter in found)


def test_a_letter_of_any_size_is_taken(tenant: Tenant, trail: Stream, letters: Queue) -> None:
    # A queue takes 256 KiB and a row may have 400: poison must not block the stream by its size.
    trail.read()
    tenant.mint()
    (record,) = trail.read()
    huge = {**record, "dynamodb": {"NewImage": {"pk": "é" * 190_000}}}
    assert workers.publish([huge]).poison == 1
    (letter,) = letters.read()
    assert letter["error"]


def test_changes_and_ends_of_rows_are_no_events(
    tenant: Tenant, trail: Stream, bus: Queue, letters: Queue
) -> None:
    trail.read()
    tenant.mint()
    (record,) = trail.read()
    for name in ("MODIFY", "REMOVE", None):
        published = workers.publish([{**record, "eventName": name}])
        assert (published.events, published.poison) == (0, 0)
    assert bus.read() == letters.read() == []


def test_a_batch_of_more_than_one_call_takes_is_published(
    tenant: Tenant, trail: Stream, bus: Queue
) -> None:
    trail.read()
    for _ in range(23):
        tenant.mint()
    records = trail.read()
    assert workers.publish(records).events == 23
    assert len(bus.read()) == 23


def test_the_bus_is_the_stages_own(stack: dict[str, str]) -> None:
    buses = boto3.client("events").list_event_buses()["EventBuses"]
    assert stack["EventBusName"] in {found["Name"] for found in buses}
