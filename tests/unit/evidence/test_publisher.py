"""The publisher against a bus that answers as EventBridge may."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.evidence.publisher import NotPublishedError, Poison, Publisher, Record

_LIMIT = 262_144


class Row:
    """An audit record's row, with a detail of some size."""

    def __init__(self, number: int, note: str = "x") -> None:
        self.pk, self.sort, self.id = "p", str(number), f"aud_{number}"
        self.at, self.organization = 0, "org_1"
        self.project = self.environment = self.reason = self.source_address = None
        self.event, self.outcome, self.request_id = "agent.revoked", "success", "r"
        self.actor_type, self.actor_id = "system", "s"
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
    assert bus.taken == [f"aud_{number}" for number in range(9)]
    assert bus.requests == 3


def test_one_event_that_is_refused_with_its_request_does_not_hold_up_the_others() -> None:
    bus = Bus(bad="aud_3", error=refused("ValidationException", 400))
    letters = publish(bus, *(Row(number) for number in range(5)))
    assert bus.taken == ["aud_0", "aud_1", "aud_2", "aud_4"]
    assert [letter["error"] for letter in letters.bodies] == ["EventBridge: ValidationException"]


@pytest.mark.parametrize(
    "error",
    [
        refused("InternalException", 500),
        refused("ThrottlingException", 400),
        refused("AccessDeniedException", 400),
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
