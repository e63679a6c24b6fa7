"""From audit records to EventBridge: at least once, in schema, and never blocked by poison."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from chalicelib.evidence.envelope import SOURCE, Envelope, rfc3339
from chalicelib.evidence.events import ALL

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient

_MOST_ENTRIES = 10  # PutEvents takes no more
_ATTEMPTS = 3
# A queue takes 256 KiB and a row may have 400: what cannot be put away would block the shard.
_LONGEST_LETTER = 240_000
# What EventBridge may answer for one entry and what another attempt may mend. Everything else
# says that the entry itself is wrong.
_PASSING = {"ThrottlingException", "InternalFailure", "InternalException", "ServiceUnavailable"}


class Record(Protocol):
    """What the publisher needs of an audit record's row."""

    pk: Any
    sort: Any
    id: Any
    at: Any
    organization: Any
    project: Any
    environment: Any
    event: Any
    outcome: Any
    reason: Any
    actor_type: Any
    actor_id: Any
    resource_type: Any
    resource_id: Any
    request_id: Any
    source_address: Any
    detail: Any


class NotPublishedError(RuntimeError):
    """EventBridge did not take some events; the stream must deliver the batch again."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A stream record that no event can be made of, and why."""

    image: dict[str, Any]
    error: str


@dataclass(frozen=True, slots=True)
class Published:
    """How many events went out, and how many records went to the dead-letter queue."""

    events: int
    poison: int


def envelope_of(record: Record) -> Envelope:
    """The published form of a record.

    Raises:
        ValueError, TypeError, OverflowError: the event is not on the list, or it is not of its
            schema.
    """
    detail_type = ALL.get(record.event)
    if detail_type is None:
        raise ValueError(f"unknown event {record.event!r}")
    # Round trip through the event's own type: what does not fit the schema is not published.
    detail = msgspec.convert(record.detail, detail_type)
    return msgspec.convert(
        {
            "id": record.id,
            "version": detail_type.VERSION,
            "event": record.event,
            "time": rfc3339(int(record.at)),
            "organization": record.organization,
            "project": record.project,
            "environment": record.environment,
            "outcome": record.outcome,
            "reason": record.reason,
            # As plain members: what is a structure already, is not checked again.
            "actor": {"type": record.actor_type, "id": record.actor_id},
            "resource": {"type": record.resource_type, "id": record.resource_id},
            "request_id": record.request_id,
            "source_address": record.source_address,
            "detail": msgspec.to_builtins(detail),
        },
        Envelope,
        from_attributes=True,
    )


class Publisher:
    """Publishes to one bus and sends what cannot be published to one queue."""

    def __init__(
        self, events: "EventBridgeClient", bus: str, sqs: "SQSClient", queue_url: str
    ) -> None:
        self._events = events
        self._bus = bus
        self._sqs = sqs
        self._queue_url = queue_url

    def publish(self, records: Iterable[Record | Poison]) -> Published:
        """Publish a batch in order.

        Raises:
            NotPublishedError: EventBridge is down or throttles; nothing is lost, the batch comes
                again.
        """
        entries: list[PutEventsRequestEntryTypeDef] = []
        poison = 0
        for record in records:
            if isinstance(record, Poison):
                poison += self.dead_letter(record)
                continue
            try:
                entries.append(self._entry(envelope_of(record)))
            except (ValueError, TypeError, OverflowError) as error:
                # The id alone finds no row: the key does, and it is there even where no id is.
                place = {"pk": record.pk, "sort": record.sort, "id": record.id}
                poison += self.dead_letter(Poison(place, str(error)))
        for chunk in _chunks(entries):
            poison += self._put(chunk)
        return Published(len(entries), poison)

    def _entry(self, envelope: Envelope) -> "PutEventsRequestEntryTypeDef":
        return {
            "Source": SOURCE,
            "DetailType": envelope.event,
            "Detail": msgspec.json.encode(envelope).decode(),
            "EventBusName": self._bus,
            "Resources": [],
        }

    def _put(self, entries: list["PutEventsRequestEntryTypeDef"]) -> int:
        poison = 0
        for _ in range(_ATTEMPTS):
            answer = self._events.put_events(Entries=entries)
            if not answer["FailedEntryCount"]:
                return poison
            again = []
            for entry, result in zip(entries, answer["Entries"], strict=True):
                code = result.get("ErrorCode")
                if code in _PASSING:
                    again.append(entry)
                elif code is not None:
                    detail = {"Detail": entry.get("Detail", "")}
                    poison += self.dead_letter(Poison(detail, f"EventBridge: {code}"))
            entries = again
            if not entries:
                return poison
        raise NotPublishedError(f"{len(entries)} events were not taken")

    def dead_letter(self, poison: Poison) -> int:
        """Send a record that nothing can be made of to the queue that people look at."""
        body = json.dumps({"error": poison.error, "record": poison.image}, default=str)
        if len(body) > _LONGEST_LETTER:
            cut = body[: _LONGEST_LETTER // 2]  # quoting it again may double it
            body = json.dumps({"error": poison.error[:1000], "record": cut})
        self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)
        return 1


def _chunks(
    entries: list["PutEventsRequestEntryTypeDef"],
) -> Iterator[list["PutEventsRequestEntryTypeDef"]]:
    for start in range(0, len(entries), _MOST_ENTRIES):
        yield entries[start : start + _MOST_ENTRIES]
