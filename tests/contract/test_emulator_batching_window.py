"""The emulated event source mapping collects records for a batch as its window has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.emulator.functions import Function, Functions
from infra.emulator.stream_poller import LONGEST_WINDOW, StreamPoller, _passes
from infra.emulator.worker import FunctionSpec, Outcome, Worker
from tests.e2e.stack.calls import until

FUNCTION = "sealer"
PATIENCE = 10.0


@dataclass
class Mapping:
    """What moto keeps of a mapping."""

    max_batch_window: int | None
    batch_size: int = 100
    enabled: bool = True
    starting_position: str = "TRIM_HORIZON"
    max_retry_attempts: int = -1
    event_source_arn: str = "arn:aws:dynamodb:eu-central-1:1:table/rows/stream/now"
    function_arn: str = f"arn:aws:lambda:eu-central-1:1:function:{FUNCTION}"
    filter_criteria: dict[str, Any] | None = None


@dataclass
class OneShard:
    """A stream of one shard; an iterator is the number of the next record."""

    written: int = 0
    read: int = 0  # of these the poller has kept what it was given, for it asks for the next
    ended: bool = False
    expired: int = 0  # how many requests are refused next

    def list_streams(self, **_: Any) -> dict[str, Any]:
        return {"Streams": []}

    def describe_stream(self, **_: Any) -> dict[str, Any]:
        return {"StreamDescription": {"Shards": [{"ShardId": "only"}]}}

    def get_shard_iterator(self, **asked: Any) -> dict[str, Any]:
        after = asked.get("SequenceNumber")
        return {"ShardIterator": "0" if after is None else str(int(after) + 1)}

    def get_records(self, **asked: Any) -> dict[str, Any]:
        if self.expired:
            self.expired -= 1
            raise ClientError({"Error": {"Code": "ExpiredIteratorException"}}, "GetRecords")
        self.read = int(asked["ShardIterator"])
        records = [
            {
                "eventID": str(number),
                "eventName": "INSERT",
                "dynamodb": {"SequenceNumber": str(number)},
            }
            for number in range(self.read, self.written)
        ]
        following = str(self.read + len(records))
        return {"Records": records, **({} if self.ended else {"NextShardIterator": following})}


class Sealer(Function):
    """A function that remembers its batches, and fails where a test wants it to."""

    batches: list[list[int]]
    failing: int = 0

    def run(self, payload: bytes, patience: float | None = None) -> Outcome:
        del patience
        numbers = [int(one["eventID"]) for one in json.loads(payload)["Records"]]
        self.batches.append(numbers)
        self.failing -= 1
        return Outcome(b"null", error="Unhandled" if self.failing >= 0 else None)


@dataclass
class Rig:
    """A poller with what stands around it."""

    poller: StreamPoller
    stream: OneShard
    sealer: Sealer
    now: list[float] = field(default_factory=lambda: [0.0])

    def write(self, records: int) -> None:
        """Let records come, and the poller read them."""
        self.stream.written += records
        until(lambda: self.stream.read == self.stream.written, "the records are read", PATIENCE)

    def drain(self) -> None:
        """Do as `wait_idle` does."""
        assert self.poller.await_empty_poll(self.poller.request_empty_poll(), PATIENCE)

    def delivered(self, batches: list[list[int]]) -> None:
        """Wait for batches, and see that there are no others."""
        until(lambda: len(self.sealer.batches) >= len(batches), "a batch", PATIENCE)
        assert self.sealer.batches == batches


@pytest.fixture
def rig_of(tmp_path: Path) -> Iterator[Callable[[Mapping], Rig]]:
    """Make a running rig for a mapping."""
    running: list[StreamPoller] = []

    def make(mapping: Mapping) -> Rig:
        spec = FunctionSpec(
            FUNCTION, mapping.function_arn, "app.f", "python3.11", 128, 60, "x", tmp_path
        )
        sealer = Sealer(spec, no_worker, 1, tmp_path / "log")
        sealer.batches = []
        functions = Functions()
        functions.put(spec, lambda _: sealer)
        now = [0.0]
        stream = OneShard()
        poller = StreamPoller(mapping, functions, stream, 0.005, clock=lambda: now[0])
        running.append(poller)
        poller.start()
        return Rig(poller, stream, sealer, now)

    yield make
    for poller in running:
        poller.cancel()
        poller.join(PATIENCE)


def no_worker(_: FunctionSpec) -> Worker:
    raise AssertionError("nothing is run")


def test_records_of_one_window_share_a_batch(rig_of: Callable[[Mapping], Rig]) -> None:
    rig = rig_of(Mapping(max_batch_window=1))
    rig.write(1)
    rig.now[0] = 0.9
    rig.write(2)
    assert rig.sealer.batches == []
    rig.now[0] = 1.0
    rig.delivered([[0, 1, 2]])
    rig.write(1)
    assert len(rig.sealer.batches) == 1  # a window of its own
    rig.now[0] = 2.0
    rig.delivered([[0, 1, 2], [3]])


def test_whoever_waits_for_the_stream_to_be_empty_does_not_wait_for_the_window(
    rig_of: Callable[[Mapping], Rig],
) -> None:
    rig = rig_of(Mapping(max_batch_window=1))
    rig.write(3)
    rig.drain()
    assert rig.sealer.batches == [[0, 1, 2]]


def test_a_full_batch_waits_for_nothing(rig_of: Callable[[Mapping], Rig]) -> None:
    rig = rig_of(Mapping(max_batch_window=1, batch_size=2))
    rig.write(5)
    rig.delivered([[0, 1], [2, 3]])
    rig.drain()
    assert rig.sealer.batches == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("window", [None, 0])
def test_without_a_window_records_are_delivered_as_they_come(
    rig_of: Callable[[Mapping], Rig], window: int | None
) -> None:
    rig = rig_of(Mapping(max_batch_window=window))
    rig.write(1)
    rig.delivered([[0]])


def test_a_long_window_is_cut_short(rig_of: Callable[[Mapping], Rig]) -> None:
    rig = rig_of(Mapping(max_batch_window=60))
    rig.write(1)
    rig.now[0] = LONGEST_WINDOW
    rig.delivered([[0]])


def test_what_waits_when_a_shard_ends_is_delivered(rig_of: Callable[[Mapping], Rig]) -> None:
    rig = rig_of(Mapping(max_batch_window=1))
    rig.write(2)
    rig.stream.ended = True
    rig.delivered([[0, 1]])


def test_a_failed_batch_comes_again_whole_and_before_what_came_meanwhile(
    rig_of: Callable[[Mapping], Rig],
) -> None:
    rig = rig_of(Mapping(max_batch_window=1))
    rig.sealer.failing = 2
    rig.write(2)
    rig.now[0] = 1.0
    until(lambda: rig.sealer.batches, "the first attempt", PATIENCE)
    rig.stream.written += 1
    rig.drain()
    assert rig.sealer.batches == [[0, 1], [0, 1], [0, 1], [2]]


def test_what_waits_when_a_place_in_the_stream_is_lost_is_delivered_once(
    rig_of: Callable[[Mapping], Rig],
) -> None:
    rig = rig_of(Mapping(max_batch_window=1))
    rig.write(2)
    rig.stream.expired = 1
    until(lambda: not rig.stream.expired, "the place is lost", PATIENCE)
    rig.drain()
    assert rig.sealer.batches == [[0, 1]]


def test_a_mapping_that_is_disabled_while_a_batch_waits_goes_on_with_it(
    rig_of: Callable[[Mapping], Rig],
) -> None:
    mapping = Mapping(max_batch_window=1)
    rig = rig_of(mapping)
    rig.write(2)
    mapping.enabled = False
    rig.drain()
    assert rig.sealer.batches == []
    mapping.enabled = True
    rig.drain()
    assert rig.sealer.batches == [[0, 1]]


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        (None, {"INSERT", "MODIFY", "REMOVE"}),
        ([], {"INSERT", "MODIFY", "REMOVE"}),
        (['{"eventName": ["INSERT"]}'], {"INSERT"}),
        (['{"eventName": ["INSERT", "MODIFY"]}'], {"INSERT", "MODIFY"}),
        (['{"eventName": ["INSERT"]}', '{"eventName": ["REMOVE"]}'], {"INSERT", "REMOVE"}),
    ],
)
def test_filters_keep_records_away_from_the_function(
    filters: list[str] | None, passing: set[str]
) -> None:
    criteria = None if filters is None else {"Filters": [{"Pattern": one} for one in filters]}
    events = ("INSERT", "MODIFY", "REMOVE")
    assert {name for name in events if _passes({"eventName": name}, criteria)} == passing


def test_a_batch_that_filters_empty_starts_nothing_and_is_done(
    rig_of: Callable[[Mapping], Rig],
) -> None:
    mapping = Mapping(max_batch_window=0)
    mapping.filter_criteria = {"Filters": [{"Pattern": '{"eventName": ["MODIFY"]}'}]}
    rig = rig_of(mapping)
    rig.write(3)
    rig.drain()
    assert rig.sealer.batches == []
    mapping.filter_criteria = None
    rig.write(1)
    rig.delivered([[3]])
