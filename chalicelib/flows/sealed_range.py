"""Which sealed batches cover a time range, and their lines for an export.

Batches are numbered in the order in which records arrived, which is nearly that of their times:
a record is sealed soon after it was written, and never before.
"""

from collections.abc import Callable

import msgspec

from chalicelib.evidence import sealed_batch
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.sealed_batch import Header
from chalicelib.store.evidence_bucket import EvidenceBucket

_SKEW_MS = 3_600_000
"""How far from its own time a record may arrive: a refusal has the time of its minute's start."""
MOST_A_FILE = 500
_LARGEST_FILE = 16 * 1024 * 1024


class Head(msgspec.Struct, frozen=True):
    """A batch to which an export goes: its number, and its header's digest in hexadecimals."""

    number: int
    digest: str


class Lines(msgspec.Struct, frozen=True):
    """Some batches, a line each.

    Args:
        lines: the batches.
        next: the number to go on with; None after the last.
        last: the last of them, where one can be read.
        range_over: whether the batches after them cannot hold a record of the range.
    """

    lines: list[bytes]
    next: int | None
    last: Head | None = None
    range_over: bool = False


def first_number(
    bucket: EvidenceBucket, organization: str, last: int, since: int, *, least: int = 1
) -> int:
    """The number of the first batch that may hold a record of a time or later.

    Halves the range of numbers, since batches are sealed in their order. What is no longer there
    was older than is kept.

    Raises:
        Unavailable: the bucket did not answer.
    """
    earliest = rfc3339(max(0, since - _SKEW_MS))
    low, high = least, last + 1
    while low < high:
        middle = (low + high) // 2
        header = _header(_body(bucket, organization, middle))
        if header is None or header.sealed_at < earliest:
            low = middle + 1
        else:
            high = middle
    return low


def lines(
    bucket: EvidenceBucket,
    organization: str,
    start: int,
    last: int,
    until: int,
    time_is_up: Callable[[], bool],
) -> Lines:
    """The next batches that may hold a record of a time or earlier.

    What is in the bucket is passed on as it is, well or not: it is for the verifier to judge.

    Raises:
        Unavailable: the bucket did not answer.
    """
    latest = rfc3339(until + _SKEW_MS)
    found: list[bytes] = []
    size = 0
    end: Head | None = None
    for number in range(start, last + 1):
        body = _body(bucket, organization, number)
        header = _header(body)
        if header is not None and header.first > latest:
            return Lines(found, None, end, range_over=True)
        if body is not None:
            # A batch is one line; whatever else stands there must not become several.
            found.append(body.replace(b"\n", b" "))
            size += len(body)
        if header is not None:
            end = Head(number, header.digest().hex())
        if len(found) >= MOST_A_FILE or size >= _LARGEST_FILE or time_is_up():
            return Lines(found, number + 1 if number < last else None, end)
    return Lines(found, None, end)


def _body(bucket: EvidenceBucket, organization: str, number: int) -> bytes | None:
    stored = bucket.find(organization, number)
    return None if stored is None else stored.body


def _header(body: bytes | None) -> Header | None:
    if body is None:
        return None
    try:
        return sealed_batch.parsed(body).header
    except msgspec.MsgspecError:
        return None
