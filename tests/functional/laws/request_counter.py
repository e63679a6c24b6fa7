"""Counts what goes over the wire to DynamoDB, attempt by attempt, and keeps the bodies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalicelib.store.connection import connection

_READS = {"GetItem", "BatchGetItem", "Query", "Scan"}


@dataclass(frozen=True)
class Sent:
    """One attempt of one request, as it was sent."""

    operation: str
    body: dict[str, Any]

    @property
    def tables(self) -> list[str]:
        """The short names of the tables of the request, one for each item."""
        if "TransactItems" in self.body:
            names = [next(iter(part.values()))["TableName"] for part in self.body["TransactItems"]]
        elif "RequestItems" in self.body:
            names = [
                name for name, wanted in self.body["RequestItems"].items() for _ in wanted["Keys"]
            ]
        else:
            names = [self.body["TableName"]]
        return [name.rsplit("-", 1)[1] for name in names]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Of a transaction: what is done to which table."""
        kinds = [next(iter(part)) for part in self.body["TransactItems"]]
        return list(zip(kinds, self.tables, strict=True))

    def put_in(self, table: str) -> list[dict[str, Any]]:
        """Of a transaction: its puts into a table."""
        return [
            part["Put"]
            for part, name in zip(self.body["TransactItems"], self.tables, strict=True)
            if "Put" in part and name == table
        ]

    @property
    def eventually_consistent(self) -> bool:
        """Whether it is a read that may answer with what was."""
        if self.operation == "BatchGetItem":
            wanted = self.body["RequestItems"].values()
            return not all(keys.get("ConsistentRead") for keys in wanted)
        return self.operation in _READS and not self.body.get("ConsistentRead")


@dataclass
class Requests:
    """All attempts since counting began."""

    sent: list[Sent] = field(default_factory=list)

    @property
    def operations(self) -> list[str]:
        """Their operations, in order."""
        return [one.operation for one in self.sent]

    @property
    def transactions(self) -> list[Sent]:
        """The writing transactions among them."""
        return [one for one in self.sent if one.operation == "TransactWriteItems"]

    @property
    def writes(self) -> list[str]:
        """The operations that write, or would."""
        return [name for name in self.operations if name not in {*_READS, "TransactGetItems"}]


@contextmanager
def counted() -> Iterator[Requests]:
    """Count the attempts of the shared client, also those that a fault stops afterwards."""
    requests = Requests()

    def note(request: Any, operation_name: str, **_: Any) -> None:
        requests.sent.append(Sent(operation_name, json.loads(request.data)))

    events = connection().client.meta.events
    events.register("request-created.dynamodb", note)
    try:
        yield requests
    finally:
        events.unregister("request-created.dynamodb", note)
