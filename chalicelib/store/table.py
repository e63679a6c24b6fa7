"""What all models share: the stage's table name, the shared connection, strong reads."""

import threading
from typing import Any, Self

from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import TransactGetError
from pynamodb.models import Model

from chalicelib import settings
from chalicelib.errors import Unavailable
from chalicelib.store.connection import (
    CANCELLED,
    CONFLICT,
    IN_PROGRESS,
    connection,
    guarded,
    response_code,
)

# A cascade's threads may be the first to use a model. Two that bind it at once would leave it
# with a connection that can never be replaced.
_binding = threading.Lock()


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
        with _binding:
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
    raw_keys = [_raw(key) for key in keys]
    for name, raw in raw_keys:
        wanted = request.setdefault(name, {"ConsistentRead": True, "Keys": []})["Keys"]
        # A list that an index gave may name a row twice; DynamoDB refuses a request that does.
        if raw not in wanted:
            wanted.append(raw)
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


def read_as_one(keys: list[Key]) -> list[Table | None] | None:
    """Several rows at one moment, with no transaction half applied.

    A batch read may show one row of a transaction and not yet the other. This costs twice as
    much; None where a transaction was being applied to one of the rows: worth another attempt.

    Raises:
        Unavailable: the database did not answer.
    """
    wanted = [{"TableName": name, "Key": raw} for name, raw in map(_raw, keys)]
    with guarded():
        try:
            answer = connection().transact_get_items(wanted)
        except TransactGetError as error:
            if response_code(error) in {CANCELLED, CONFLICT, IN_PROGRESS}:
                return None
            raise
    return [
        model.from_item(response.get("Item"))
        for (model, _, _), response in zip(keys, answer["Responses"], strict=True)
    ]


def _raw(key: Key) -> tuple[str, dict[str, Any]]:
    model, hash_key, range_key = key
    model._get_connection()  # noqa: SLF001 - makes the schema known to the connection
    name = model.Meta.table_name
    return name, connection().get_identifier_map(name, hash_key, range_key)["Key"]


def _matching(items: list[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    for item in items:
        if all(item.get(name) == value for name, value in key.items()):
            return item
    return None
