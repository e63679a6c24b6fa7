"""Which sealed batches cover a time range, and their lines for an export.

Batches are sealed one after the other, so their times are in the order of their numbers. Nobody
verifies signatures here: so the batches that decide where a range begins and ends are in it, and
whoever verifies the export sees one that is not what the key has signed.
"""

from collections.abc import Callable

import msgspec

from chalicelib.evidence import sealed_batch
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.sealed_batch import Header
from chalicelib.store.evidence_bucket import EvidenceBucket

_SKEW_MS = 3_600_000
"""How far from its own time a record may arrive: a refusal has the time of its minute's start."""
_LATE_MS = 25 * 3_600_000
"""How long after its time a record is sealed: a stream brings it within a day, or never."""
_MOST_HIDDEN = 8
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
        range_over: whether there are more, which cannot hold a record of the range.
    """

    lines: list[bytes]
    next: int | None
    last: Head | None = None
    range_over: bool = False


def first_number(
    bucket: EvidenceBucket, organization: str, last: int, since: int, *, least: int = 1
) -> int:
    """The number of the last batch before those that may hold a record of a time or later.

    Halves the range of numbers. What is no longer there was older than is kept; where one before it
    is there and is not older, it was hidden, and the search goes on before it.

    Raises:
        Unavailable: the bucket did not answer.
    """
    earliest = rfc3339(max(0, since - _SKEW_MS))
    high = last + 1
    while True:
        low = least
        while low < high:
            middle = (low + high) // 2
            header = _header(_body(bucket, organization, middle))
            if header is None or header.sealed_at < earliest:
                low = middle + 1
            else:
                high = middle
        for number in range(low - 1, max(low - 1 - _MOST_HIDDEN, least - 1), -1):
            body = _body(bucket, organization, number)
            if body is None:
                continue
            header = _header(body)
            if number < low - 1 and header is not None and header.sealed_at >= earliest:
                high = number
                break
            return number
        else:
            return max(least, low - 1)


def lines(
    bucket: EvidenceBucket,
    organization: str,
    start: int,
    last: int,
    until: int,
    time_is_up: Callable[[], bool],
) -> Lines:
    """The next batches that may hold a record of a time or earlier, and the one after them.

    What is in the bucket is passed on as it is, well or not: it is for the verifier to judge.

    Raises:
        Unavailable: the bucket did not answer.
    """
    latest = rfc3339(until + _LATE_MS)
    found: list[bytes] = []
    size = 0
    end: Head | None = None
    for number in range(start, last + 1):
        body = _body(bucket, organization, number)
        header = _header(body)
        if body is not None:
            # A batch is one line; whatever else stands there must not become several.
            found.append(body.replace(b"\n", b" "))
            size += len(body)
        if header is not None:
            end = Head(number, header.digest().hex())
            if header.sealed_at > latest:
                return Lines(found, None, end, range_over=True)
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
