from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.store import paging
from chalicelib.store.paging import Span


class Between:
    """A condition as the index understands it."""

    attr_name = "sort"

    def between(self, low: str, high: str) -> tuple[str, str]:
        return low, high


class Index:
    """An index whose shards are lists; notes what it was asked for."""

    def __init__(self, **shards: list[str]) -> None:
        self.shards = shards
        self.asked: list[tuple[str, int]] = []

    def query(
        self,
        hash_key: str,
        condition: tuple[str, str],
        *,
        scan_index_forward: bool,
        page_size: int,
    ) -> Iterator[Any]:
        self.asked.append((hash_key, page_size))
        low, high = condition
        rows = sorted(key for key in self.shards[hash_key] if low <= key <= high)
        for key in rows if scan_index_forward else reversed(rows):
            yield SimpleNamespace(sort=key, shard=hash_key)


def read(index: Index, span: Span, *bounds: str) -> list[str]:
    """The sort keys of a list."""
    limits = (bounds[0], bounds[1]) if bounds else (paging.LOWEST, paging.HIGHEST)
    rows = paging.merged(index, sorted(index.shards), Between(), span, limits)
    return [row.sort for row in rows]


@pytest.mark.parametrize("newest_first", [True, False])
def test_shards_are_read_as_one_list(newest_first: bool) -> None:
    index = Index(a=["1", "4"], b=["2", "3", "6"], c=[])
    keys = read(index, Span(None, 9, newest_first))
    assert keys == sorted(["1", "2", "3", "4", "6"], reverse=newest_first)


@pytest.mark.parametrize(("newest_first", "rest"), [(True, ["2", "1"]), (False, ["4", "6"])])
def test_a_list_goes_on_after_a_row_of_any_shard(newest_first: bool, rest: list[str]) -> None:
    index = Index(a=["1", "4"], b=["2", "3", "6"])
    assert read(index, Span("3", 9, newest_first)) == rest


def test_a_row_that_is_gone_still_marks_its_place() -> None:
    index = Index(a=["1", "4"], b=["2", "6"])
    assert read(index, Span("3", 9, newest_first=False)) == ["4", "6"]
    assert read(index, Span("3", 9, newest_first=True)) == ["2", "1"]


def test_bounds_belong_to_the_list_and_a_place_outside_ends_it() -> None:
    index = Index(a=["1", "3", "5"], b=["2", "4"])
    assert read(index, Span(None, 9, newest_first=False), "2", "4") == ["2", "3", "4"]
    assert read(index, Span("4", 9, newest_first=False), "2", "4") == []
    assert read(index, Span("9", 9, newest_first=False), "2", "4") == []
    assert read(index, Span("0", 9, newest_first=True), "2", "4") == []


def test_a_page_asks_no_shard_for_much_more_than_its_part() -> None:
    index = Index(**{letter: [] for letter in "abcdefgh"})
    read(index, Span(None, 100, newest_first=False))
    assert [size for _, size in index.asked] == [25] * 8


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.text("0123456789", min_size=1, max_size=3)), min_size=1
    ),
    st.integers(1, 5),
    st.booleans(),
)
def test_pages_together_are_the_whole_list(
    shards: dict[str, list[str]],
    limit: int,
    newest_first: bool,
) -> None:
    unique = {name: sorted(set(keys)) for name, keys in shards.items()}
    every = {key for keys in unique.values() for key in keys}
    # Sort keys end in an identifier: no two rows of a list share one.
    owner = {key: next(name for name, keys in unique.items() if key in keys) for key in every}
    index = Index(**{name: [k for k in keys if owner[k] == name] for name, keys in unique.items()})
    found: list[str] = []
    after = None
    while page := read(index, Span(after, limit, newest_first))[:limit]:
        found += page
        after = page[-1]
    assert found == sorted(every, reverse=newest_first)


def test_a_shard_is_the_same_for_ever_and_spread_evenly() -> None:
    assert [paging.shard_of(f"agt_{n}") for n in range(6)] == [1, 7, 5, 3, 0, 6]
    counts = [0] * paging.SHARDS
    for number in range(8_000):
        counts[paging.shard_of(f"agt_{number:020d}")] += 1
    assert min(counts) > 700


def test_a_shard_key_names_its_parts_and_shard() -> None:
    assert paging.shard_key("org_1", "env_1", shard=3) == "org_1#env_1#3"
