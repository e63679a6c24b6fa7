"""Lists that run over environments: one after the other, each in its own order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from chalicelib.store import organizations
from chalicelib.store.paging import Span

Row = TypeVar("Row")


class Position(msgspec.Struct, frozen=True):
    """Where a list goes on: after which row (its sort key) of which environment."""

    environment: str
    after: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the list goes on, if it does."""

    rows: list[Row]
    next: Position | None


def over_environments(
    organization: str,
    environment: str | None,
    start: Position | None,
    span: Span,
    listed: Callable[[str, Span], Iterator[Row]],
) -> Iterator[tuple[str, Row]]:
    """All rows of one environment, or of all of them in order, from a position on."""
    names = [environment] if environment is not None else organizations.environments(organization)
    for name in names:
        if start is not None and name < start.environment:
            continue
        after = start.after if start is not None and name == start.environment else None
        for row in listed(name, Span(after, span.limit, span.newest_first)):
            yield name, row
