"""Lists that run over environments: one after the other, each in its own order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from chalicelib.flows.authorization import Authority
from chalicelib.store import organizations
from chalicelib.store.organizations import OrganizationItem
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


def all_of(organization: str) -> Iterator[OrganizationItem]:
    """The environments of an organization, in order of their identifiers."""
    return organizations.listed(organization, "environment")


def visible(authority: Authority, rows: Iterable[OrganizationItem]) -> list[str]:
    """The identifiers of those environments that may be shown to an operator."""
    found = ((row.item.partition("#")[2], row) for row in rows)
    return [name for name, row in found if authority.sees(row.project, name)]


def over_environments(
    environments: list[str],
    start: Position | None,
    span: Span,
    listed: Callable[[str, Span], Iterator[Row]],
) -> Iterator[tuple[str, Row]]:
    """All rows of some environments, one after the other, from a position on."""
    for name in environments:
        if start is not None and name < start.environment:
            continue
        after = start.after if start is not None and name == start.environment else None
        for row in listed(name, Span(after, span.limit, span.newest_first)):
            yield name, row
