"""DynamoDB's refusal of overlapping transactions, which no engine imitates.

DynamoDB takes no locks that others wait for: of two transactions that are under way on one item at
the same time, the later one is cancelled with `TransactionConflict` for that item, whether it
writes the item or only checks it. A single write that meets a transaction is refused with
`TransactionConflictException`, and `TransactGetItems` is cancelled by any write. Plain reads meet
nothing. Stricter than DynamoDB, a transaction is cancelled by a single write too.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from infra.emulator.http_server import Answer
from infra.emulator.wire import Head
from infra.engines.front import Front

Forward = Callable[[Head, bytes], Answer]
Body = dict[str, Any]
Item = tuple[str, str]
"""A table and a key in it."""

_NAMESPACE = "com.amazonaws.dynamodb.v20120810#"
_SINGLE_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
_ABOUT_ITEMS = {
    *("TransactWriteItems", "TransactGetItems", "BatchGetItem", "GetItem", "Query"),
    *_SINGLE_WRITES,
}
_ONGOING = "Transaction is ongoing for the item"


def operation_of(head: Head) -> str:
    """The DynamoDB operation that a request asks for."""
    return (head.get("x-amz-target") or "").rpartition(".")[2]


def error(code: str, message: str = "", **more: Any) -> Answer:
    """An error as DynamoDB answers it."""
    body = {"__type": _NAMESPACE + code, "message": message, **more}
    return 400, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(body).encode()


def cancelled(reasons: Sequence[Body]) -> Answer:
    """A cancelled transaction, with a reason for each of its items."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    return error("TransactionCanceledException", message, CancellationReasons=list(reasons))


class _Kind(Enum):
    """What works on an item. Single writes wait for each other, and readers share."""

    TRANSACTION = auto()
    SINGLE_WRITE = auto()
    READ_AS_ONE = auto()


@dataclass
class _Claim:
    kind: _Kind
    holders: int = 0

    def admits(self, kind: _Kind) -> bool:
        return kind is self.kind is not _Kind.TRANSACTION


class ConflictProxy:
    """Forwards requests, and refuses those that DynamoDB would for their overlapping.

    An item is claimed from the request's arrival until the engine's answer, and for as long as a
    transaction lasts on DynamoDB.

    Args:
        forward: carries a request out.
        key_of: the key attributes of a table.
        lasting: the least and the most that a transaction takes, in seconds.
        seed: of the random numbers between.
    """

    def __init__(
        self,
        forward: Forward,
        key_of: Callable[[str], frozenset[str]],
        *,
        lasting: tuple[float, float] = (0.010, 0.030),
        seed: int = 0,
    ) -> None:
        self._forward = forward
        self._key_of = key_of
        self._lasting = lasting
        self._random = random.Random(seed)  # noqa: S311 - only has to be irregular
        self._guard = threading.Lock()
        self._claims: dict[Item, _Claim] = {}
        self._tokens: set[str] = set()
        self.conflicts: Counter[str] = Counter()

    def answer(self, head: Head, body: bytes) -> Answer:
        """The answer to a request, the engine's or a refusal."""
        operation = operation_of(head)
        if operation == "TransactWriteItems":
            return self._write_all(head, body)
        if operation == "TransactGetItems":
            return self._read_all(head, body)
        if operation in _SINGLE_WRITES:
            return self._write_one(head, body, operation)
        return self._forward(head, body)

    def _write_all(self, head: Head, body: bytes) -> Answer:
        asked = json.loads(body)
        with self._alone(asked.get("ClientRequestToken")) as alone:
            if not alone:
                self.conflicts["TransactionInProgress"] += 1
                return error("TransactionInProgressException")
            items = [self._item(part) for part in asked["TransactItems"]]
            with self._claimed(items, _Kind.TRANSACTION) as met:
                if any(met):
                    self.conflicts["TransactWriteItems"] += 1
                    return cancelled(_reasons(met))
                return self._for_a_while(head, body)

    def _read_all(self, head: Head, body: bytes) -> Answer:
        items = [self._item(part) for part in json.loads(body)["TransactItems"]]
        with self._claimed(items, _Kind.READ_AS_ONE) as met:
            if any(met):
                self.conflicts["TransactGetItems"] += 1
                return cancelled(_reasons(met))
            return self._for_a_while(head, body)

    def _write_one(self, head: Head, body: bytes, operation: str) -> Answer:
        items = [self._item({operation: json.loads(body)})]
        with self._claimed(items, _Kind.SINGLE_WRITE) as met:
            if any(met):
                self.conflicts[operation] += 1
                return error("TransactionConflictException", _ONGOING)
            return self._forward(head, body)

    def _for_a_while(self, head: Head, body: bytes) -> Answer:
        with self._guard:
            until = time.monotonic() + self._random.uniform(*self._lasting)
        answer = self._forward(head, body)
        time.sleep(max(0.0, until - time.monotonic()))
        return answer

    def _item(self, part: Body) -> Item:
        (wanted,) = part.values()
        table = wanted["TableName"]
        key = wanted.get("Key") or {
            name: value for name, value in wanted["Item"].items() if name in self._key_of(table)
        }
        return table, json.dumps(key, sort_keys=True)

    @contextmanager
    def _alone(self, token: str | None) -> Iterator[bool]:
        """Whether no other request with this client token is under way."""
        with self._guard:
            alone = token is None or token not in self._tokens
            if alone and token is not None:
                self._tokens.add(token)
        try:
            yield alone
        finally:
            if alone and token is not None:
                with self._guard:
                    self._tokens.discard(token)

    @contextmanager
    def _claimed(self, items: Sequence[Item], kind: _Kind) -> Iterator[list[bool]]:
        """Claim all items or none; yields which ones somebody else works on."""
        with self._guard:
            met = [item in self._claims and not self._claims[item].admits(kind) for item in items]
            claimed = [] if any(met) else items
            for item in claimed:
                self._claims.setdefault(item, _Claim(kind)).holders += 1
        try:
            yield met
        finally:
            with self._guard:
                for item in claimed:
                    self._claims[item].holders -= 1
                    if not self._claims[item].holders:
                        del self._claims[item]


def _reasons(met: Sequence[bool]) -> list[Body]:
    return [
        {"Code": "TransactionConflict", "Message": _ONGOING} if one else {"Code": "None"}
        for one in met
    ]


@contextmanager
def answering(database: Front, answer: Forward) -> Iterator[None]:
    """Let something else answer the requests about items, instead of the engine alone."""

    def intercept(head: Head, _path: str, _query: str, body: bytes) -> Answer | None:
        return answer(head, body) if operation_of(head) in _ABOUT_ITEMS else None

    database.interceptors.insert(0, intercept)
    try:
        yield
    finally:
        database.interceptors.remove(intercept)
