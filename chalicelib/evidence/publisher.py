"""From audit records to EventBridge: at least once, in schema, and never blocked by poison."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import ids
from chalicelib.evidence.catalog import ALL
from chalicelib.evidence.envelope import SOURCE, Envelope, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient

_MOST_ENTRIES = 10  # PutEvents takes no more
_MOST_BYTES = 200_000  # it takes 256 KB in all; source, type and bus name count too
_ENTRY_OVERHEAD = 500
_SERVER_ERROR = 500
# Statuses that speak of the caller, not of what it sent.
_CALLER = {401, 403, 429}
_ATTEMPTS = 3
# A queue takes 256 KiB and a row may have 400: what cannot be put away would block the shard.
_LONGEST_LETTER = 240_000
# How the codes begin that say nothing about an event: an outage, throttling, our credentials, our
# permissions, a bus that is not there at the moment. Another attempt may succeed, so none of them
# may put an event aside; everything else says that the entry itself is wrong.
_PASSING = (
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "Internal",
    "InvalidClientToken",
    "InvalidSignature",
    "LimitExceeded",
    "MissingAuthentication",
    "NotAuthorized",
    "RequestExpired",
    "RequestLimit",
    "ResourceNotFound",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttl",
    "TooManyRequests",
    "UnrecognizedClient",
)


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
    actor_credential: Any
    resource_type: Any
    resource_id: Any
    request_id: Any
    source_address: Any
    detail: Any


class NotPublishedError(RuntimeError):
    """EventBridge did not take some events; the stream must deliver the batch again."""


class Poison(msgspec.Struct, frozen=True):
    """A stream record that no event can be made of, and why."""

    image: dict[str, Any]
    error: str


class Published(msgspec.Struct, frozen=True):
    """How many events went out, and how many records went to the dead-letter queue."""

    events: int
    poison: int


def envelope_of(record: Record) -> Envelope:
    """The published form of a record.

    Raises:
        ValueError, TypeError, OverflowError: the event is not on the list, it is not of its
            schema, or the row does not stand where its own members say.
    """
    check_place(record)
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
            "actor": {
                "type": record.actor_type,
                "id": record.actor_id,
                "credential": record.actor_credential,
            },
            "resource": {"type": record.resource_type, "id": record.resource_id},
            "request_id": record.request_id,
            "source_address": record.source_address,
            "detail": msgspec.to_builtins(detail),
        },
        Envelope,
        from_attributes=True,
    )


def check_place(record: Record) -> None:
    """A row that stands elsewhere is not one of ours: nobody is told of it in a tenant's name.

    Raises:
        ValueError: it does.
    """
    if not ids.is_a(ids.ORGANIZATION, record.organization):
        raise ValueError("the organization is not one")
    if not ids.is_a(ids.AUDIT_RECORD, record.id):
        raise ValueError("the identifier is not one")
    if not record.pk.startswith(f"{record.organization}#"):
        raise ValueError("the key is another organization's")
    if not record.sort.endswith(f"#{record.id}"):
        raise ValueError("the key is another record's")


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
        poison: list[Poison] = []
        for record in records:
            if isinstance(record, Poison):
                poison.append(record)
                continue
            try:
                entries.append(self._entry(envelope_of(record)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is about this record
                # The id alone finds no row: the key does, and it is there even where no id is.
                place = {"pk": record.pk, "sort": record.sort, "id": record.id}
                poison.append(Poison(place, f"{type(error).__name__}: {error}"))
        refused = [letter for chunk in _chunks(entries) for letter in self._put(chunk)]
        poison += refused
        # Letters come last: while EventBridge is down the batch comes again and again, and each
        # time would send them anew.
        for letter in poison:
            self.dead_letter(letter)
        return Published(len(entries) - len(refused), len(poison))

    def _entry(self, envelope: Envelope) -> "PutEventsRequestEntryTypeDef":
        return {
            "Source": SOURCE,
            "DetailType": envelope.event,
            "Detail": msgspec.json.encode(envelope).decode(),
            "EventBusName": self._bus,
            "Resources": [],
        }

    def _put(self, entries: list["PutEventsRequestEntryTypeDef"]) -> list[Poison]:
        """Put some entries, and return those that EventBridge will never take."""
        poison: list[Poison] = []
        for _ in range(_ATTEMPTS):
            try:
                answer = self._events.put_events(Entries=entries)
            except (ClientError, BotoCoreError) as error:
                return poison + self._put_one_by_one(entries, error)
            if not answer["FailedEntryCount"]:
                return poison
            again = []
            for entry, result in zip(entries, answer["Entries"], strict=True):
                code = result.get("ErrorCode")
                if code is not None and code.startswith(_PASSING):
                    again.append(entry)
                elif code is not None:
                    poison.append(_refused(entry, code))
            entries = again
            if not entries:
                return poison
        raise NotPublishedError(f"{len(entries)} events were not taken")

    def _put_one_by_one(
        self, entries: list["PutEventsRequestEntryTypeDef"], error: Exception
    ) -> list[Poison]:
        """After a refusal of a whole request: one wrong entry must not hold up the others."""
        if not isinstance(error, ClientError) or _will_pass(error):
            raise NotPublishedError(f"EventBridge: {type(error).__name__}") from error
        if len(entries) == 1:
            return [_refused(entries[0], error.response["Error"]["Code"])]
        return [poison for entry in entries for poison in self._put([entry])]

    def dead_letter(self, poison: Poison) -> None:
        """Send a record that nothing can be made of to the queue that people look at."""
        body = json.dumps({"error": poison.error, "record": poison.image}, default=str)
        if len(body) > _LONGEST_LETTER:
            cut = body[: _LONGEST_LETTER // 2]  # quoting it again may double it
            body = json.dumps({"error": poison.error[:1000], "record": cut})
        self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)


def _refused(entry: "PutEventsRequestEntryTypeDef", code: str) -> Poison:
    return Poison({"Detail": entry.get("Detail", "")}, f"EventBridge: {code}")


def _will_pass(error: ClientError) -> bool:
    """Whether the same request may be taken later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    code = error.response.get("Error", {}).get("Code", "")
    return status >= _SERVER_ERROR or status in _CALLER or code.startswith(_PASSING)


def _chunks(
    entries: list["PutEventsRequestEntryTypeDef"],
) -> Iterator[list["PutEventsRequestEntryTypeDef"]]:
    chunk: list[PutEventsRequestEntryTypeDef] = []
    size = 0
    for entry in entries:
        weight = len(entry.get("Detail", "").encode()) + _ENTRY_OVERHEAD
        if chunk and (len(chunk) == _MOST_ENTRIES or size + weight > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += weight
    if chunk:
        yield chunk
