"""All rows of all tables at one moment, and the rows of an example taken away again."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

from chalicelib import settings

Row = dict[str, Any]
# In each table what a row's key is made of.
KEYS = {
    "organizations": ("organization", "item"),
    "agent_enrollment_tokens": ("pk",),
    "agent_identities": ("pk",),
    "agent_presence": ("pk",),
    "agent_device_certificates": ("pk", "certificate_id"),
    "agent_revocations": ("pk",),
    "artifacts": ("pk", "item"),
    "jobs": ("pk",),
    "audit_records": ("pk", "sort"),
    "people": ("pk", "item"),
    "denials": ("pk",),
}
_APPEND_ONLY = "audit_records"
_SELDOM = ("organizations", "agent_device_certificates", "people", "denials")
"""No step of the model writes to these."""
_MOST_AT_ONCE = 25  # the most that one BatchWriteItem takes


@dataclass(frozen=True)
class Snapshot:
    """The raw rows by table and key."""

    tables: dict[str, dict[tuple[str, ...], Row]]

    def rows(self, table: str) -> list[Row]:
        """A table's rows as plain values."""
        return [_plain(row) for row in self.tables[table].values()]

    def changed_since(self, before: "Snapshot | None") -> str:
        """The text of all rows that are not as they were."""
        return "\n".join(
            repr(row)
            for name, rows in self.tables.items()
            for key, row in rows.items()
            if before is None or before.tables[name].get(key) != row
        )


def _plain(row: Row) -> Row:
    return {name: _value(value) for name, value in row.items()}


def _value(typed: dict[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    return int(value) if kind == "N" else value


class Tables:
    """The stage's tables through a client of their own, which no race pauses."""

    def __init__(self) -> None:
        self._client: Any = boto3.client("dynamodb")
        self._prefix = settings.load().table_prefix

    def read(self, before: Snapshot | None = None) -> Snapshot:
        """All that a step may change, strongly consistent.

        Where an earlier snapshot is given, only those audit records are read whole that are new
        since: the emulator takes long to write out a row.
        """
        tables = {name: self._rows(name) for name in KEYS if name not in (*_SELDOM, _APPEND_ONLY)}
        return Snapshot({**tables, _APPEND_ONLY: self._appended(before)})

    def read_the_rest(self) -> Snapshot:
        """The tables that no step changes."""
        return Snapshot({name: self._rows(name) for name in _SELDOM})

    def _appended(self, before: Snapshot | None) -> dict[tuple[str, ...], Row]:
        if before is None:
            return self._rows(_APPEND_ONLY)
        known = before.tables[_APPEND_ONLY]
        keys = self._rows(_APPEND_ONLY, "pk, sort")
        return {name: known.get(name) or self._row(_APPEND_ONLY, key) for name, key in keys.items()}

    def _row(self, table: str, key: Row) -> Row:
        # A query and no GetItem, which takes the emulator twenty times as long.
        answer = self._client.query(
            TableName=self._prefix + table,
            KeyConditionExpression=" AND ".join(f"{name} = :{name}" for name in key),
            ExpressionAttributeValues={f":{name}": value for name, value in key.items()},
            ConsistentRead=True,
        )
        (row,) = answer["Items"]
        return dict(row)

    def _rows(self, table: str, projection: str | None = None) -> dict[tuple[str, ...], Row]:
        projected = {"ProjectionExpression": projection} if projection else {}
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._prefix + table, ConsistentRead=True, **projected
        )
        return {
            tuple(row[name]["S"] for name in KEYS[table]): row
            for page in pages
            for row in page["Items"]
        }

    def empty(self) -> None:
        """Take all rows away: what is read in each step must not grow with the examples."""
        for name, rows in (self.read().tables | self.read_the_rest().tables).items():
            requests: Iterator[Row] = (
                {"DeleteRequest": {"Key": {part: row[part] for part in KEYS[name]}}}
                for row in rows.values()
            )
            while chunk := list(itertools.islice(requests, _MOST_AT_ONCE)):
                left: Row = {self._prefix + name: chunk}
                while left:
                    left = self._client.batch_write_item(RequestItems=left)["UnprocessedItems"]
