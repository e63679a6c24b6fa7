"""The publisher against an event bus that refuses."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.evidence.publisher import NotPublishedError, Poison, Publisher

NOW = 1_780_000_000_000


class Bus:
    """Answers each call with the next list of codes (None for taken); the last one for ever."""

    def __init__(self, *answers: list[str | None]) -> None:
        self.answers = list(answers)
        self.calls: list[list[str]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([json.loads(entry["Detail"])["id"] for entry in Entries])
        codes = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        codes = (codes * len(Entries))[: len(Entries)]
        return {
            "FailedEntryCount": sum(code is not None for code in codes),
            "Entries": [{"ErrorCode": code} if code else {"EventId": "x"} for code in codes],
        }


class Letters:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        assert QueueUrl == "queue"
        assert len(MessageBody) <= 262_144
        self.bodies.append(json.loads(MessageBody))


def record(identifier: str, **changed: Any) -> Any:
    good = {
        "pk": "p", "sort": "s", "id": identifier, "at": NOW, "organization": "org_1",
        "project": None, "environment": None, "event": "agent.restarted", "outcome": "success",
        "reason": None, "actor_type": "agent", "actor_id": "agt_1", "resource_type": "agent",
        "resource_id": "agt_1", "request_id": "r", "source_address": None,
        "detail": {"agent_id": "agt_1"},
    }  # fmt: skip
    return SimpleNamespace(**{**good, **changed})


def publisher(bus: Bus, letters: Letters) -> Publisher:
    return Publisher(bus, "bus", letters, "queue")  # type: ignore[arg-type]


def test_a_batch_is_put_in_order_ten_at_a_time() -> None:
    bus, letters = Bus([None]), Letters()
    published = publisher(bus, letters).publish([record(f"a{n}") for n in range(23)])
    assert (published.events, published.poison) == (23, 0)
    assert [len(call) for call in bus.calls] == [10, 10, 3]
    assert [one for call in bus.calls for one in call] == [f"a{n}" for n in range(23)]


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailable"])
def test_what_was_not_taken_for_the_moment_is_put_again_and_nothing_else(code: str) -> None:
    bus, letters = Bus([None, code, None], [None]), Letters()
    publisher(bus, letters).publish([record("a"), record("b"), record("c")])
    assert bus.calls == [["a", "b", "c"], ["b"]]
    assert letters.bodies == []


def test_a_bus_that_takes_nothing_lets_the_stream_deliver_again() -> None:
    bus, letters = Bus(["ThrottlingException"]), Letters()
    with pytest.raises(NotPublishedError):
        publisher(bus, letters).publish([record("a")])
    assert bus.calls == [["a"]] * 3
    assert letters.bodies == []


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", "NotAuthorizedForSource"])
def test_what_the_bus_will_never_take_goes_to_the_dead_letters(code: str) -> None:
    bus, letters = Bus([None, code], [None]), Letters()
    published = publisher(bus, letters).publish([record("a"), record("b")])
    assert published.poison == 1
    assert bus.calls == [["a", "b"]]
    (letter,) = letters.bodies
    assert code in letter["error"]
    assert json.loads(letter["record"]["Detail"])["id"] == "b"


@pytest.mark.parametrize(
    "changed",
    [
        {"event": "agent.exploded"}, {"event": None}, {"detail": None}, {"detail": {}},
        {"detail": {"agent_id": 7}}, {"detail": {"agent_id": "a", "more": 1}}, {"at": None},
        {"at": 10**30}, {"at": -(10**30)}, {"at": "x"}, {"id": None}, {"outcome": "maybe"},
        {"actor_id": None}, {"actor_type": 7}, {"resource_id": None}, {"organization": None},
        {"request_id": None}, {"source_address": 7},
    ],
)  # fmt: skip
def test_what_is_out_of_its_schema_is_never_published(changed: dict[str, Any]) -> None:
    bus, letters = Bus([None]), Letters()
    published = publisher(bus, letters).publish([record("a"), record("b", **changed), record("c")])
    assert (published.events, published.poison) == (2, 1)
    assert bus.calls == [["a", "c"]]
    (letter,) = letters.bodies
    assert letter["error"]
    assert letter["record"]["pk"] == "p"


@pytest.mark.parametrize(
    "image", [{"x": "é" * 400_000}, {"x": '"' * 400_000}, {"x": {"y": [b"z"]}}]
)
def test_a_letter_fits_its_queue_whatever_the_record(image: dict[str, Any]) -> None:
    letters = Letters()
    publisher(Bus([None]), letters).publish([Poison(image, "why" * 400_000)])
    assert letters.bodies[0]["error"].startswith("why")
