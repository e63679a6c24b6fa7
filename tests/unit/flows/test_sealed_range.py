"""Which sealed batches an export of a time range takes."""

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
        (3 * DAY, 5 * DAY, [3, 4, 5]),
        (3 * DAY + 2 * HOUR, 5 * DAY, [4, 5]),
        (0, DAY - 2 * HOUR, []),
        (0, 10_000 * DAY, list(range(1, 21))),
        (20 * DAY, 21 * DAY, [20]),
        (21 * DAY, 22 * DAY, []),
    ],
)
def test_the_batches_of_a_range_are_found(since: int, until: int, expected: list[int]) -> None:
    assert covering(daily(20), 20, since, until) == expected


def test_a_record_that_arrived_late_is_covered() -> None:
    bucket = daily(6)
    # Sealed within the skew of the range's end, with a record of before it.
    bucket.batches[5] = batch(5, 4 * DAY, sealed_at=5 * DAY)
    assert covering(bucket, 6, 4 * DAY, 4 * DAY) == [4, 5]


def test_the_search_does_not_read_the_whole_chain() -> None:
    bucket = daily(4_000)
    assert sealed_range.first_number(bucket, "org_1", 4_000, 3_000 * DAY) == 3_000  # type: ignore[arg-type]
    assert len(bucket.asked) <= 13


def test_no_batch_is_no_line() -> None:
    assert covering(Bucket({}), 0, 0, DAY) == []


def test_batches_that_are_gone_were_too_old() -> None:
    bucket = daily(20)
    for number in range(1, 8):
        del bucket.batches[number]
    assert covering(bucket, 20, 0, 9 * DAY) == [8, 9]


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
