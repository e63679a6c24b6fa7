"""DynamoDB transactions: undone item by item, so that their cost does not grow with the tables."""

import copy
from collections.abc import Callable
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from infra.emulator.patches import MotoObject, Patches, require_parameters


def close(patches: Patches) -> None:
    """Keep copies of the items that a transaction names, and not of whole tables.

    Moto copies each table once for every part of a transaction, and puts the copies in place
    when it fails: at some thousand items that takes longer than everything else together.
    """
    require_parameters(DynamoDBBackend.transact_write_items, "transact_items")
    patches.wrap(DynamoDBBackend, "transact_write_items", _transact)
    # What moto takes for its copy of a table is then the table itself; `_undo` does the rest.
    patches.add(Table, "__deepcopy__", lambda self, _memo: self)


def _transact(original: Callable[..., Any]) -> MotoObject:
    def transact_write_items(self: MotoObject, transact_items: list[dict[str, Any]]) -> None:
        undo = [_undo(self.tables[name], key) for name, key in _touched(self, transact_items)]
        try:
            original(self, transact_items)
        except BaseException:
            for step in reversed(undo):
                step()
            raise

    return transact_write_items


def _touched(
    backend: MotoObject, transact_items: list[dict[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    """Table and key of every part that names a table; moto itself refuses the others."""
    touched = []
    for part in transact_items:
        for operation in part.values():
            table = backend.tables.get(operation.get("TableName"))
            attributes = operation.get("Key") or operation.get("Item") or {}
            if table is not None and set(table.table_key_attrs) <= set(attributes):
                key = {name: attributes[name] for name in table.table_key_attrs}
                touched.append((operation["TableName"], key))
    return touched


def _undo(table: MotoObject, key: dict[str, Any]) -> Callable[[], None]:
    """What brings one item, and the table's stream, back to this moment."""
    probe = _Probe(table, key)
    before = copy.deepcopy(probe.read())
    shard = table.stream_shard
    records = len(shard.items) if shard is not None else 0

    def undo() -> None:
        probe.write(before)
        if shard is not None:
            del shard.items[records:]

    return undo


class _Probe:
    """One place in a table."""

    def __init__(self, table: MotoObject, key: dict[str, Any]) -> None:
        self._table = table
        self._hash, self._range = _dynamo_types(table, key)

    def read(self) -> MotoObject:
        """The item, or None."""
        items = self._table.items
        if self._hash not in items:
            return None
        found = items[self._hash]
        return found if self._range is None else found.get(self._range)

    def write(self, item: MotoObject) -> None:
        """Put an item in place, or nothing."""
        items = self._table.items
        if self._range is None:
            if item is None:
                items.pop(self._hash, None)
            else:
                items[self._hash] = item
        elif item is None:
            if self._hash in items:
                items[self._hash].pop(self._range, None)
        else:
            items[self._hash][self._range] = item


def _dynamo_types(table: MotoObject, key: dict[str, Any]) -> tuple[MotoObject, MotoObject]:
    hash_value = DynamoType(key[table.hash_key_attr])
    range_name = table.range_key_attr
    return hash_value, DynamoType(key[range_name]) if range_name else None
