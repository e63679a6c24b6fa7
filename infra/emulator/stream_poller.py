"""One event source mapping: reads a stream's shards in order and delivers batches."""

import base64
import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from infra.emulator.batching import Waiting
from infra.emulator.functions import Functions, QueueTimeoutError
from infra.emulator.patches import MotoObject

_RETRY_FIRST = 0.1
_RETRY_MOST = 1.0
# Long enough that many records share an invocation, as they do on AWS; whoever watches `make up`
# should not have to wait for a window of a minute.
LONGEST_WINDOW = 2.0
_log = logging.getLogger("rollcall.emulator")


class StreamsClient(Protocol):
    """The calls of boto3's client that are used."""

    def list_streams(self, **kwargs: MotoObject) -> dict[str, Any]:
        """List the streams of a table."""

    def describe_stream(self, **kwargs: MotoObject) -> dict[str, Any]:
        """Describe the shards."""

    def get_shard_iterator(self, **kwargs: MotoObject) -> dict[str, Any]:
        """Get a position."""

    def get_records(self, **kwargs: MotoObject) -> dict[str, Any]:
        """Read from a position."""


class StreamPoller:
    """A thread that polls one stream for one function.

    A batch waits for more records as long as the mapping's batching window lets it, at the most
    `LONGEST_WINDOW`, and no longer than until somebody asks for an empty poll.

    Args:
        mapping: Moto's event source mapping; read again for every batch, so updates count.
        functions: Where the function is found.
        client: A client of the engine that has the stream.
        pause: Seconds between two polls of an empty stream.
        clock: Seconds since any moment.
    """

    def __init__(
        self,
        mapping: MotoObject,
        functions: Functions,
        client: StreamsClient,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mapping = mapping
        self._functions = functions
        self._client = client
        self._pause = pause
        self._clock = clock
        self._arn: str = mapping.event_source_arn
        self._iterators: dict[str, str] = {}
        self._waiting: dict[str, Waiting] = {}
        self._positions: dict[str, str] = {}  # the last delivered record of a shard
        self._finished: set[str] = set()  # shards that were read to their end
        self._cancelled = threading.Event()
        self._wake = threading.Event()
        self._empty_polls = threading.Condition()
        self._requested = 0
        self._answered = 0
        self.delivered = 0
        self._thread = threading.Thread(target=self._run, name="stream-poller", daemon=True)

    @property
    def function_name(self) -> str:
        """The function that gets the records."""
        return str(self._mapping.function_arn).rsplit(":", 1)[-1]

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask the thread to end."""
        self._cancelled.set()
        self._wake.set()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def request_empty_poll(self) -> int:
        """Ask for a poll that starts from now on and finds nothing; returns a ticket."""
        with self._empty_polls:
            self._requested += 1
            ticket = self._requested
        self._wake.set()
        return ticket

    def await_empty_poll(self, ticket: int, timeout: float) -> bool:
        """Wait until the poll of the ticket was made."""
        with self._empty_polls:
            return self._empty_polls.wait_for(
                lambda: self._answered >= ticket or self._cancelled.is_set(), timeout
            )

    def _run(self) -> None:
        while not self._cancelled.is_set():
            with self._empty_polls:
                ticket = self._requested
                asked = ticket > self._answered
            try:
                found = self._poll(at_once=asked)
            except (ClientError, BotoCoreError) as error:
                # An expired position, or an engine that is away: find the place again.
                self._lose_place()
                _log.debug("stream %s: %s", self._arn, error)
                found = False
                if isinstance(error, BotoCoreError):
                    ticket = 0  # no answer is not an empty stream
            except QueueTimeoutError:
                self._lose_place()
                found = False  # the function was stopped or deleted
            if found:
                continue
            with self._empty_polls:
                self._answered = max(self._answered, ticket)
                self._empty_polls.notify_all()
            self._wake.wait(self._pause)
            self._wake.clear()

    def _lose_place(self) -> None:
        """Go on after the last delivered record, later."""
        self._iterators.clear()
        self._waiting.clear()

    def _poll(self, *, at_once: bool) -> bool:
        if not self._mapping.enabled:
            return False
        if not self._iterators:
            self._discover()
        window = 0.0 if at_once else min(self._mapping.max_batch_window or 0, LONGEST_WINDOW)
        found = False
        for shard, iterator in list(self._iterators.items()):
            answer = self._client.get_records(ShardIterator=iterator, Limit=1000)
            following = answer.get("NextShardIterator")
            waiting = self._waiting.setdefault(shard, Waiting(self._clock))
            waiting.add(answer["Records"])
            # To a shard that has ended nothing comes any more.
            for batch in waiting.due(self._mapping.batch_size, window if following else 0.0):
                if not self._deliver(batch):
                    self._lose_place()
                    return False
                self._positions[shard] = batch[-1]["dynamodb"]["SequenceNumber"]
                found = True
            found = found or bool(answer["Records"])
            if following:
                self._iterators[shard] = following
            else:
                del self._iterators[shard]
                self._finished.add(shard)
        return found

    def _discover(self) -> None:
        stream = self._stream()
        description = self._client.describe_stream(StreamArn=stream)["StreamDescription"]
        first = not self._positions and not self._finished
        open_shards = [one for one in description["Shards"] if one["ShardId"] not in self._finished]
        waiting = {one["ShardId"] for one in open_shards}
        for shard in open_shards:
            if shard.get("ParentShardId") in waiting:
                continue  # a child is read after its parent
            start = {"ShardIteratorType": self._mapping.starting_position}
            if position := self._positions.get(shard["ShardId"]):
                start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position}
            elif not first:
                start = {"ShardIteratorType": "TRIM_HORIZON"}  # new: nothing may be skipped
            self._iterators[shard["ShardId"]] = self._client.get_shard_iterator(
                StreamArn=stream, ShardId=shard["ShardId"], **start
            )["ShardIterator"]

    def _stream(self) -> str:
        """The stream as its engine calls it; another one than moto has ARNs of its own."""
        table = self._arn.split("/")[1]
        known = [one["StreamArn"] for one in self._client.list_streams(TableName=table)["Streams"]]
        return self._arn if self._arn in known or not known else str(known[-1])

    def _deliver(self, batch: list[dict[str, Any]]) -> bool:
        batch = [record for record in batch if _passes(record, self._mapping.filter_criteria)]
        if not batch:
            return True  # Lambda starts no function for what the filters keep away
        event = {"Records": [_event_record(record, self._arn) for record in batch]}
        payload = json.dumps(event).encode()
        pause = _RETRY_FIRST
        attempts = 0
        while self._mapping.enabled and not self._cancelled.is_set():
            function = self._functions.get(self.function_name)
            if function is None:
                return False
            outcome = function.run(payload)
            attempts += 1
            self.delivered += 1
            if outcome.error is None or self._given_up(attempts, len(batch)):
                return True
            self._cancelled.wait(pause)
            pause = min(_RETRY_MOST, pause * 2)
        return False

    def _given_up(self, attempts: int, size: int) -> bool:
        most = self._mapping.max_retry_attempts
        if most is None or most < 0 or attempts <= most:
            return False
        _log.warning("%s: %d records dropped after %d tries", self.function_name, size, attempts)
        return True


def _passes(record: dict[str, Any], criteria: dict[str, Any] | None) -> bool:
    """Whether a record passes one of a mapping's filters: as much of these as a name's values."""
    filters = (criteria or {}).get("Filters") or []
    patterns = [json.loads(one["Pattern"]) for one in filters]
    return not patterns or any(
        all(record.get(key) in values for key, values in pattern.items()) for pattern in patterns
    )


def _event_record(record: dict[str, Any], stream_arn: str) -> dict[str, Any]:
    change = {key: _plain(value) for key, value in record["dynamodb"].items()}
    shaped = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": record.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": stream_arn.split(":")[3],
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }
    # Who removed a row whose time was over; Lambda writes its members small.
    if identity := record.get("userIdentity"):
        shaped["userIdentity"] = {
            "type": identity.get("Type"),
            "principalId": identity.get("PrincipalId"),
        }
    return shaped


def _plain(value: object) -> MotoObject:
    """What boto3 decoded, in JSON again: bytes as base64, times as seconds."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value
