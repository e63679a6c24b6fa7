"""What the sweeps share: closed buckets of a sparse index, from the watermark on, never a scan."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import msgspec

from chalicelib.errors import Contention
from chalicelib.flows.contention import Patience
from chalicelib.store import sweep_watermark
from chalicelib.store.agent_presence import bucket_of
from chalicelib.store.sweep_watermark import Watermark

_AT_ONCE = 8
_CHUNK = 64
_FIRST_LOOK_BACK_BUCKETS = 288
"""A day of buckets of the default width; a day of narrow ones would take a sweep minutes."""

Waiting = TypeVar("Waiting")


class SweepTools(msgspec.Struct, frozen=True):
    """What a sweep needs from outside."""

    patience: Patience
    clock: Callable[[], int]
    time_is_up: Callable[[], bool]
    bucket_seconds: int
    request_id: str

    def is_closed(self, bucket: int) -> bool:
        """Whether a bucket is over."""
        return bucket + self.bucket_seconds <= self.clock() // 1000


class Walked(msgspec.Struct, frozen=True):
    """What a sweep did; `through` is the newest bucket that it finished."""

    worked: int
    buckets: int
    through: int | None


def walk(
    tools: SweepTools,
    watermark: Watermark,
    waiting_in: Callable[[int], Iterator[Waiting]],
    work: Callable[[Waiting], bool | None],
) -> Walked:
    """Work on all that waits in closed buckets.

    The watermark moves only over buckets that were finished, and stays one behind the newest:
    the index is eventually consistent, so the newest is looked at again. A sweep begins with the
    watermark's own bucket and works on one more at least, so that it always comes further.

    Args:
        tools: what comes from outside.
        watermark: the index's.
        waiting_in: reads a bucket of the index.
        work: whether something was done for one that waits; None, or `Contention`, where it must
            be looked at again, so that the bucket is not finished.

    Raises:
        Unavailable: the database did not answer; the next sweep goes on from the watermark.
    """
    width = tools.bucket_seconds
    newest = bucket_of(tools.clock(), width) - width
    reached = sweep_watermark.read(watermark)
    # A stage whose bucket width was changed starts anew on the new grid.
    first = newest - _FIRST_LOOK_BACK_BUCKETS * width if reached is None else reached
    first -= first % width
    worked = buckets = 0
    through, all_finished = None, True
    for bucket in range(first, newest + 1, width):
        done, finished = _sweep_bucket(tools, waiting_in(bucket), work)
        worked, buckets = worked + done, buckets + 1
        all_finished = all_finished and finished
        if all_finished:
            through = bucket
        if bucket > first and tools.time_is_up():
            break
    if through is not None:
        behind = min(through, newest - width)
        if reached is None or behind > reached:
            sweep_watermark.advance(behind, watermark)
    return Walked(worked, buckets, through)


def _sweep_bucket(
    tools: SweepTools, waiting: Iterator[Waiting], work: Callable[[Waiting], bool | None]
) -> tuple[int, bool]:
    """How many of a bucket were worked on, and whether none was left for the next sweep.

    When a whole site falls silent, one bucket holds most of a fleet: several are worked on at a
    time, and when time is up the rest waits for the next sweep, which no longer finds these.
    """
    worked, finished = 0, True
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        chunk = list(islice(waiting, _CHUNK))
        while chunk:
            outcomes = list(pool.map(lambda one: _attempt(work, one), chunk))
            worked += outcomes.count(True)
            finished = finished and None not in outcomes
            chunk = list(islice(waiting, _CHUNK))
            if chunk and tools.time_is_up():
                return worked, False
    return worked, finished


def _attempt(work: Callable[[Waiting], bool | None], one: Waiting) -> bool | None:
    """What the work says; None where the row was too busy to tell."""
    try:
        return work(one)
    except Contention:
        return None  # One busy row must not keep the others waiting.
