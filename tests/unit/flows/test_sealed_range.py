"""Which sealed batches an export of a time range takes."""

import json
from typing import Any

import pytest

from chalicelib.evidence import sealed_batch
from chalicelib.evidence.sealed_batch import Leaf
from chalicelib.flows import sealed_range
from chalicelib.store.evidence_bucket import StoredBatch

HOUR = 3_600_000
DAY = 24 * HOUR


def batch(number: int, at: int, *, sealed_at: int | None = None) -> bytes:
    """A batch of one record of a time, sealed a second later unless told otherwise."""
    leaves = [Leaf(f"aud_{number}", at, "ab" * 32)]
    header = sealed_batch.header_of(
        "org_1", number, bytes(32), leaves,
        sealed_at=at + 1000 if sealed_at is None else sealed_at, retained_ms=400 * DAY,
    )  # fmt: skip
    return sealed_batch.written(sealed_batch.signed(header, leaves, b"signature"))


class Bucket:
    """Batches by number, and which were asked for."""

    def __init__(self, batches: dict[int, bytes]) -> None:
        self.batches = batches
        self.asked: list[int] = []

    def find(self, organization: str, number: int) -> StoredBatch | None:
        assert organization == "org_1"
        self.asked.append(number)
        body = self.batches.get(number)
        return None if body is None else StoredBatch(body, "tag")


def daily(count: int) -> Bucket:
    """A batch a day: number n holds a record of day n."""
    return Bucket({number: batch(number, number * DAY) for number in range(1, count + 1)})


def numbers(found: list[bytes]) -> list[int]:
    return [sealed_batch.parsed(line).header.number for line in found]


def covering(bucket: Any, last: int, since: int, until: int) -> list[int]:
    first = sealed_range.first_number(bucket, "org_1", last, since)
    return numbers(sealed_range.lines(bucket, "org_1", first, last, until, lambda: False).lines)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        # One before the range, a day more for what arrives late, and the one that ended the search.
        (3 * DAY, 5 * DAY, [2, 3, 4, 5, 6, 7]),
        (3 * DAY + 2 * HOUR, 5 * DAY, [3, 4, 5, 6, 7]),
        (0, DAY - 2 * HOUR, [1, 2]),
        (0, 10_000 * DAY, list(range(1, 21))),
        (20 * DAY, 21 * DAY, [19, 20]),
        (21 * DAY, 22 * DAY, [20]),
    ],
)
def test_the_batches_of_a_range_are_found(since: int, until: int, expected: list[int]) -> None:
    assert covering(daily(20), 20, since, until) == expected


def test_a_record_that_arrived_late_is_covered() -> None:
    bucket = daily(6)
    # Sealed a day after the range's end, with a record of before it.
    bucket.batches[5] = batch(5, 4 * DAY, sealed_at=5 * DAY)
    assert covering(bucket, 6, 4 * DAY, 4 * DAY) == [3, 4, 5, 6]


def forged(bucket: Bucket, number: int, **members: str) -> None:
    """Write a header's members anew, without the key."""
    body = json.loads(bucket.batches[number])
    body["header"].update(members)
    bucket.batches[number] = json.dumps(body).encode()


@pytest.mark.parametrize("number", [2, 6, 8, 10, 11, 15])
@pytest.mark.parametrize("time", ["1970-01-01T00:00:00.000Z", "9999-01-01T00:00:00.000Z"])
def test_a_forged_time_ends_no_search_without_being_in_the_export(number: int, time: str) -> None:
    bucket = daily(20)
    honest = covering(bucket, 20, 3 * DAY, 16 * DAY)
    forged(bucket, number, sealed_at=time, first=time, last=time)
    found = covering(bucket, 20, 3 * DAY, 16 * DAY)
    assert number in found or set(honest) <= set(found)


@pytest.mark.parametrize("number", [4, 8, 10, 11, 15])
def test_a_batch_that_is_hidden_does_not_hide_those_before_it(number: int) -> None:
    bucket = daily(20)
    honest = covering(bucket, 20, 3 * DAY, 16 * DAY)
    del bucket.batches[number]
    assert covering(bucket, 20, 3 * DAY, 16 * DAY) == [one for one in honest if one != number]


def test_the_search_does_not_read_the_whole_chain() -> None:
    bucket = daily(4_000)
    assert sealed_range.first_number(bucket, "org_1", 4_000, 3_000 * DAY) == 2_999  # type: ignore[arg-type]
    assert len(bucket.asked) <= 14


def test_no_batch_is_no_line() -> None:
    assert covering(Bucket({}), 0, 0, DAY) == []


def test_batches_that_are_gone_were_too_old() -> None:
    bucket = daily(20)
    for number in range(1, 8):
        del bucket.batches[number]
    assert covering(bucket, 20, 0, 9 * DAY) == [8, 9, 10, 11]


def test_what_is_no_batch_is_passed_on_as_one_line() -> None:
    bucket = daily(3)
    bucket.batches[2] = b'{"no":\n"batch"}'
    found = sealed_range.lines(bucket, "org_1", 1, 3, 3 * DAY, lambda: False)  # type: ignore[arg-type]
    assert found.lines[1] == b'{"no": "batch"}'
    assert len(found.lines) == 3


def test_a_file_takes_so_many_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_range, "MOST_A_FILE", 2)
    bucket: Any = daily(5)
    start: int | None = 1
    taken = []
    while start is not None:
        found = sealed_range.lines(bucket, "org_1", start, 5, 9 * DAY, lambda: False)
        taken.append(numbers(found.lines))
        start = found.next
    assert taken == [[1, 2], [3, 4], [5]]


def test_a_file_ends_when_time_is_up() -> None:
    bucket: Any = daily(5)
    found = sealed_range.lines(bucket, "org_1", 2, 5, 9 * DAY, lambda: True)
    assert (numbers(found.lines), found.next) == ([2], 3)
