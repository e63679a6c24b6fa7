"""Sharded listing indexes, read as one ordered list.

What grows with a fleet is spread over shards of an index. A page asks each shard for its next
rows after the last one that was shown and merges them by the sort key, so one position serves
all shards.
"""

import heapq
import zlib
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from chalicelib.store.connection import guarded

SHARDS = 8
LOWEST, HIGHEST = "!", "~"
"""Below and above every sort key: they are printable ASCII and begin with a letter or digit."""


def shard_of(identifier: str, shards: int = SHARDS) -> int:
    """The shard of an identifier: the same one for ever."""
    return zlib.crc32(identifier.encode()) % shards


def shard_key(*parts: str, shard: int) -> str:
    """The hash key of one shard of an index."""
    return "#".join((*parts, str(shard)))


class Span(msgspec.Struct, frozen=True):
    """Which part of a list to read: `after` is the sort key of the last row that was shown."""

    after: str | None
    limit: int
    newest_first: bool


def merged(
    index: Any,  # noqa: ANN401 - pynamodb's index classes have no common typed base
    hash_keys: list[str],
    sort: Any,  # noqa: ANN401 - the index's range key attribute
    span: Span,
    bounds: tuple[str, str] = (LOWEST, HIGHEST),
    *,
    consistent: bool = False,
) -> Iterator[Any]:
    """The rows of several shards in one order, read lazily; `bounds` are inclusive.

    `consistent`: with all that was written before, which a table can tell and an index cannot.
    """
    low, high = bounds
    if span.after is not None:
        low, high = (low, span.after) if span.newest_first else (span.after, high)
    if low > high:
        return

    def shard(hash_key: str) -> Iterator[Any]:
        return iter(
            index.query(
                hash_key,
                sort.between(low, high),
                scan_index_forward=not span.newest_first,
                page_size=max(10, 2 * span.limit // len(hash_keys)),
                **({"consistent_read": True} if consistent else {}),
            )
        )

    by_sort = attrgetter(sort.attr_name)
    with guarded():
        for row in heapq.merge(
            *(shard(hash_key) for hash_key in hash_keys), key=by_sort, reverse=span.newest_first
        ):
            if by_sort(row) != span.after:
                yield row
