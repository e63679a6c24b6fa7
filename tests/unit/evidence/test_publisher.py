"""The publisher against a bus that answers as EventBridge may."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.evidence.publisher import NotPublishedError, Poison, Publisher, Record

_LIMIT = 262_144
_ORGANIZATION = f"org_{1:020d}"


def record_id(number: int) -> str:
    return f"aud_{number:020d}"


class Row:
    """An audit record's row, with a detail of some size."""

    def __init__(self, number: int, note: str = "x") -> None:
        self.id = record_id(number)
        self.pk, self.sort = f"{_ORGANIZATION}#1970-01-01#0", f"{0:015d}#{self.id}"
        self.at, self.organization = 0, _ORGANIZATION
        self.project = self.environment = self.reason = self.source_address = None
        self.event, self.outcome, self.request_id = "agent.revoked", "success", "r"
        self.actor_type, self.actor_id = "system", "s"
        self.actor_credential = None
        self.resource_type, self.resource_id = "agent", "agt_1"
        self.detail: Any = {"agent_id": "agt_1", "note": note}


class Bus:
    """Takes what EventBridge takes; `error` is raised for a request that holds an id of `bad`."""

    def __init__(self, *, bad: str = "", error: Exception | None = None) -> None:
        self.bad, self.error = bad, error
        self.taken: list[str] = []
        self.requests = 0

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.requests += 1
        assert len(Entries) <= 10
        assert sum(len(json.dumps(entry)) for entry in Entries) <= _LIMIT
        ids = [json.loads(entry["Detail"])["id"] for entry in Entries]
        if self.error is not None and (not self.bad or self.bad in ids):
            raise self.error
        self.taken += ids
        return {"FailedEntryCount": 0, "Entries": [{} for _ in ids]}


class Letters:
    """The dead-letter queue."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        assert QueueUrl == "queue"
        self.bodies.append(json.loads(MessageBody))


def refused(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutEvents",
    )


def publish(bus: Bus, *records: Any) -> Letters:
    letters = Letters()
    publisher = Publisher(bus, "bus", letters, "queue")  # type: ignore[arg-type]
    rows: list[Record | Poison] = list(records)
    publisher.publish(rows)
    return letters


def test_large_events_are_spread_over_requests() -> None:
    bus = Bus()
    publish(bus, *(Row(number, "x" * 60_000) for number in range(9)))
    assert bus.taken == [record_id(number) for number in range(9)]
    assert bus.requests == 3


def test_one_event_that_is_refused_with_its_request_does_not_hold_up_the_others() -> None:
    bus = Bus(bad=record_id(3), error=refused("ValidationException", 400))
    letters = publish(bus, *(Row(number) for number in range(5)))
    assert bus.taken == [record_id(number) for number in (0, 1, 2, 4)]
    assert [letter["error"] for letter in letters.bodies] == ["EventBridge: ValidationException"]


@pytest.mark.parametrize(
    "error",
    [
        refused("InternalException", 500),
        refused("ThrottlingException", 400),
        refused("AccessDeniedException", 400),
        refused("ResourceNotFoundException", 400),
        refused("ExpiredTokenException", 400),
        refused("NobodyKnowsYet", 403),
        refused("NobodyKnowsYet", 429),
        EndpointConnectionError(endpoint_url="https://events.example"),
    ],
)
def test_an_outage_is_no_verdict_on_the_events_and_sends_no_letters(error: Exception) -> None:
    bus, letters = Bus(error=error), Letters()
    publisher = Publisher(bus, "bus", letters, "queue")  # type: ignore[arg-type]
    rows: list[Record | Poison] = [Poison({}, "junk"), Row(1)]
    with pytest.raises(NotPublishedError):
        publisher.publish(rows)
    assert letters.bodies == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"pk": "org_other#1970-01-01#0"},
        {"pk": f"{_ORGANIZATION}x#1970-01-01#0"},
        {"pk": "poison"},
        {"pk": None},
        {"sort": f"{0:015d}#{record_id(8)}"},
        {"sort": None},
        {"organization": "everybody"},
        {"organization": None},
        {"id": "agt_1"},
        {"id": None},
    ],
)
def test_a_row_that_does_not_stand_where_its_members_say_is_not_published(
    wrong: dict[str, Any],
) -> None:
    bad, bus = Row(7), Bus()
    for name, value in wrong.items():
        setattr(bad, name, value)
    letters = publish(bus, bad, Row(1))
    assert bus.taken == [record_id(1)]
    assert len(letters.bodies) == 1


def test_what_is_refused_is_not_counted_as_published() -> None:
    bus = Bus(bad=record_id(3), error=refused("ValidationException", 400))
    publisher = Publisher(bus, "bus", Letters(), "queue")  # type: ignore[arg-type]
    published = publisher.publish([Row(number) for number in range(5)])
    assert (published.events, published.poison) == (4, 1)


def test_a_record_that_breaks_the_publisher_itself_is_a_letter() -> None:
    class Broken(Row):
        @property
        def outcome(self) -> str:
            raise KeyError("outcome")

        @outcome.setter
        def outcome(self, value: str) -> None:
            pass

    bus = Bus()
    letters = publish(bus, Broken(1), Row(2))
    assert bus.taken == [record_id(2)]
    assert letters.bodies[0]["error"] == "KeyError: 'outcome'"
