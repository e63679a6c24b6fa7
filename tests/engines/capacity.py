"""Capacity units of the requests of the shared client.

MiniStack says what an answered request consumed, and repeats the units of `TransactGetItems` at
every index of the table. It is silent about a refused request and about `BatchGetItem`; there
DynamoDB's documented rules are applied:

- a condition that fails consumes as if it had held: a unit for each started KB of the row, at
  least one, twice that in a transaction;
- a strongly consistent read consumes a unit for each started 4 KB of each item, at least one,
  also for an item that does not exist.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalicelib.store.connection import connection
from tests.functional.laws.item_size import size_of

_KB = 1024
_READS = {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}
_REFUSED = "ConditionalCheckFailedException"


@dataclass(frozen=True)
class Spent:
    """What one request consumed: units by table, or by table and index."""

    operation: str
    units: Counter[str]
    measured: bool
    """By MiniStack, and not by the rules."""

    @property
    def reads(self) -> float:
        """Read units."""
        return float(self.units.total()) if self.operation in _READS else 0.0

    @property
    def writes(self) -> float:
        """Write units."""
        return 0.0 if self.operation in _READS else float(self.units.total())


@dataclass
class Consumption:
    """All requests since counting began."""

    requests: list[Spent] = field(default_factory=list)

    @property
    def total(self) -> tuple[float, float]:
        """Write units and read units."""
        return (
            sum(request.writes for request in self.requests),
            sum(request.reads for request in self.requests),
        )

    @property
    def written(self) -> dict[str, float]:
        """Write units by table, or by table and index."""
        together: Counter[str] = Counter()
        for request in self.requests:
            if request.operation not in _READS:
                together += request.units
        return dict(sorted(together.items()))

    @property
    def read(self) -> dict[str, float]:
        """Read units by table."""
        together: Counter[str] = Counter()
        for request in self.requests:
            if request.operation in _READS:
                together += request.units
        return dict(sorted(together.items()))


@contextmanager
def consumed() -> Iterator[Consumption]:
    """Ask with every request what it consumes, and remember it."""
    consumption = Consumption()

    def ask(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"
        context["asked"] = params

    def note(parsed: dict[str, Any], context: dict[str, Any], model: Any, **_: Any) -> None:
        consumption.requests.append(_spent(model.name, context["asked"], parsed))

    events = connection().client.meta.events
    events.register("provide-client-params.dynamodb", ask)
    events.register("after-call.dynamodb", note)
    try:
        yield consumption
    finally:
        events.unregister("provide-client-params.dynamodb", ask)
        events.unregister("after-call.dynamodb", note)


def write_units(size: int) -> int:
    """A unit for each started KB, and at least one."""
    return max(1, math.ceil(size / _KB))


def read_units(size: int) -> int:
    """A unit for each started 4 KB, and at least one: strongly consistent."""
    return max(1, math.ceil(size / (4 * _KB)))


def _spent(operation: str, asked: dict[str, Any], parsed: dict[str, Any]) -> Spent:
    said = parsed.get("ConsumedCapacity")
    if said:
        each = said if isinstance(said, list) else [said]
        units: Counter[str] = Counter()
        for table in each:
            units += _of_table(table) if operation in _READS else _by_index(table)
        return Spent(operation, units, measured=True)
    if operation == "BatchGetItem":
        return Spent(operation, _of_batch(asked, parsed), measured=False)
    assert parsed.get("Error", {}).get("Code") == _REFUSED, (operation, parsed)
    stood_there = parsed.get("Item") or asked.get("Item") or {}
    refused = Counter({_short(asked["TableName"]): write_units(size_of(stood_there))})
    return Spent(operation, refused, measured=False)


def _of_table(said: dict[str, Any]) -> Counter[str]:
    return Counter({_short(said["TableName"]): math.ceil(said["CapacityUnits"])})


def _by_index(said: dict[str, Any]) -> Counter[str]:
    name = _short(said["TableName"])
    indexes = {
        f"{name}/{index}": int(one["CapacityUnits"])
        for index, one in said.get("GlobalSecondaryIndexes", {}).items()
    }
    own = int(said["CapacityUnits"]) - sum(indexes.values())
    return Counter({name: own, **indexes})


def _of_batch(asked: dict[str, Any], parsed: dict[str, Any]) -> Counter[str]:
    units: Counter[str] = Counter()
    for table, wanted in asked["RequestItems"].items():
        assert wanted["ConsistentRead"]
        found = parsed["Responses"].get(table, [])
        missing = len(wanted["Keys"]) - len(found)
        units[_short(table)] += missing + sum(read_units(size_of(item)) for item in found)
    return units


def _short(table: str) -> str:
    return table.rsplit("-", 1)[1]
