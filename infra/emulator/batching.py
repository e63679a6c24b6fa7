"""What was read from a shard and waits for its batch."""

from collections.abc import Callable, Iterator
from typing import Any


class Waiting:
    """Records of one shard, in order, that were read and not delivered yet.

    Args:
        clock: Seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: list[dict[str, Any]] = []
        self._since = 0.0

    def add(self, records: list[dict[str, Any]]) -> None:
        """Let records wait; the window opens with the first of them."""
        if not self._records:
            self._since = self._clock()
        self._records += records

    def due(self, size: int, window: float) -> Iterator[list[dict[str, Any]]]:
        """Take the batches that are full, and the last one too where its window has passed.

        Args:
            size: The most records of a batch.
            window: Seconds that a batch may wait for more.
        """
        size = max(1, size)
        over = self._clock() - self._since >= window
        while len(self._records) >= size or (over and self._records):
            batch, self._records = self._records[:size], self._records[size:]
            self._since = self._clock()
            yield batch
