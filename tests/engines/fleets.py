"""Large fleets, written to the tables at once: enrolling them one by one would take minutes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chalicelib import ids
from chalicelib.credentials import runtime_key
from chalicelib.store import (
    agent_identities,
    enrollment_tokens,
    presence_writes,
    token_counters,
)
from chalicelib.store.connection import connection
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.transaction import Transaction

_BATCH = 25  # the most that one BatchWriteItem takes
_AT_ONCE = 8


def enroll_at_once(organization: str, token: str, agents: int, now: int) -> list[str]:
    """Make the rows of agents that a token would have made; returns their identifiers."""
    minted = enrollment_tokens.find(organization, token)
    assert minted is not None
    made = [ids.new(ids.AGENT) for _ in range(agents)]
    writes = [write for agent in made for write in _rows(organization, minted, agent, now)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(_write, _batches(writes)):
            pass
    _count(organization, minted, agents)
    return made


def _count(organization: str, minted: EnrollmentTokenItem, agents: int) -> None:
    """Spend the uses, wherever the token counts them."""
    for row in token_counters.read(organization, minted) or [minted]:
        spent = min(agents, int(row.max_uses) - int(row.uses))
        row.update(actions=[EnrollmentTokenItem.uses.add(spent)])
        agents -= spent
    assert agents == 0


def _rows(
    organization: str, minted: EnrollmentTokenItem, agent: str, now: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of one agent, as the store itself makes them for a transaction."""
    transaction = Transaction()
    agent_identities.create(
        transaction,
        organization,
        agent,
        environment=str(minted.environment),
        name=agent,
        token=str(minted.token),
        created_at=now,
        project=minted.project,
        labels={},
        hostname=f"{agent}.example",
    )
    presence_writes.create(
        transaction,
        organization,
        agent,
        project=str(minted.project),
        environment=str(minted.environment),
        key=agent.encode(),
        scopes=set(runtime_key.SCOPES),
    )
    for _, put in transaction._parts["put"]:
        yield put["TableName"], put["Item"]


def _batches(
    writes: list[tuple[str, dict[str, Any]]],
) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    for start in range(0, len(writes), _BATCH):
        yield writes[start : start + _BATCH]


def _write(batch: list[tuple[str, dict[str, Any]]]) -> None:
    request: dict[str, list[dict[str, Any]]] = {}
    for table, item in batch:
        request.setdefault(table, []).append({"PutRequest": {"Item": item}})
    while request:
        answer = connection().dispatch("BatchWriteItem", {"RequestItems": request})
        request = answer.get("UnprocessedItems") or {}
