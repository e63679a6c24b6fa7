"""The requests that DynamoDB is sent, counted on the one connection of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.store.connection import connection

WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}


@contextmanager
def database_requests() -> Iterator[list[str]]:
    """The names of the operations while the block runs, in order."""
    seen: list[str] = []

    def note(model: Any, **_: Any) -> None:
        seen.append(model.name)

    events = connection().client.meta.events
    events.register("before-call.dynamodb", note)
    try:
        yield seen
    finally:
        events.unregister("before-call.dynamodb", note)


def writes(seen: list[str]) -> list[str]:
    """Those that change something."""
    return [name for name in seen if name in WRITES]
