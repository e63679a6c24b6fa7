"""What all models share: the stage's table name, the shared connection, strong reads."""

from typing import Any, Self

from pynamodb.connection.table import TableConnection
from pynamodb.models import Model

from chalicelib import settings
from chalicelib.errors import Unavailable
from chalicelib.store.connection import connection, guarded


class StageTable:
    """The stage's physical name of a table, read from the settings at first use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> str:
        return settings.load().table_prefix + self._name


class Table(Model):
    """A model on the process's one connection."""

    @classmethod
    def _get_connection(cls) -> TableConnection:
        table = super()._get_connection()
        shared = connection()
        if table.connection is not shared:
            shared.add_meta_table(table.connection.get_meta_table(cls.Meta.table_name))
            table.connection = shared
        return table

    @classmethod
    def read(cls, hash_key: str, range_key: str | None = None) -> Self | None:
        """The row as it is now (strongly consistent), or None.

        Raises:
            Unavailable: the database did not answer.
        """
        with guarded():
            try:
                return cls.get(hash_key, range_key, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def from_item(cls, item: dict[str, Any] | None) -> Self | None:
        """The model of a raw item, as a failed condition returns it."""
        return cls.from_raw_data(item) if item else None


Key = tuple[type[Table], str, str | None]


def read_all(keys: list[Key]) -> list[Table | None]:
    """Several rows, of several tables, in ONE strongly consistent request, in the order asked.

    Raises:
        Unavailable: the database did not answer, or not for every key.
    """
    shared = connection()
    request: dict[str, Any] = {}
    raw_keys: list[tuple[str, dict[str, Any]]] = []
    for model, hash_key, range_key in keys:
        model._get_connection()  # noqa: SLF001 - makes the schema known to the connection
        name = model.Meta.table_name
        raw = shared.get_identifier_map(name, hash_key, range_key)["Key"]
        raw_keys.append((name, raw))
        request.setdefault(name, {"ConsistentRead": True, "Keys": []})["Keys"].append(raw)
    found: dict[str, list[dict[str, Any]]] = {}
    with guarded():
        for _ in range(3):
            answer = shared.dispatch("BatchGetItem", {"RequestItems": request})
            for name, items in answer.get("Responses", {}).items():
                found.setdefault(name, []).extend(items)
            request = answer.get("UnprocessedKeys") or {}
            if not request:
                break
        else:
            raise Unavailable("The database did not answer in full.", code="store_unavailable")
    return [
        model.from_item(_matching(found.get(name, []), raw))
        for (model, _, _), (name, raw) in zip(keys, raw_keys, strict=True)
    ]


def _matching(items: list[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    for item in items:
        if all(item.get(name) == value for name, value in key.items()):
            return item
    return None
