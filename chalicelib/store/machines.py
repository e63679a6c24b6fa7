"""Machines: which live agents a host has, by the HMAC of its machine id.

A machine id is a hardware fingerprint, and only a claim: what is kept is its HMAC under a key of
the organization, and nothing is ever decided by it alone.
"""

import hashlib
import hmac
from typing import Self

import msgspec
from pynamodb.expressions.condition import Condition, size

from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.table import Key
from chalicelib.store.transaction import Transaction

MOST_AGENTS = 20
"""Images that share one machine id must not make a row grow with the fleet."""

_Item = AgentIdentityItem


class Resident(msgspec.Struct, frozen=True, order=True):
    """A live agent of a machine, and where it belongs: only who sees that is told of it."""

    agent: str
    environment: str
    project: str

    @classmethod
    def of(cls, row: AgentIdentityItem) -> Self:
        """The agent of an identity."""
        return cls(row.agent_id, str(row.environment), str(row.project))

    def __str__(self) -> str:
        return f"{self.agent}@{self.environment}@{self.project}"


class Machine(msgspec.Struct, frozen=True):
    """Who lives on a machine. A `crowded` one has, or had, agents that its row had no room for."""

    residents: frozenset[Resident] = frozenset()
    crowded: bool = False

    @classmethod
    def of(cls, row: object) -> Self:
        """As its row has it, or none."""
        if not isinstance(row, AgentIdentityItem):
            return cls()
        residents = frozenset(Resident(*text.split("@")) for text in row.agents or ())
        return cls(residents, bool(row.crowded))


def fingerprint(key: bytes | None, machine_id: str | None) -> bytes | None:
    """What is kept of a machine id; nothing where one of the two is missing. A blank id is none."""
    if key is None or machine_id is None or not machine_id.strip():
        return None
    return hmac.new(key, machine_id.encode(), hashlib.sha256).digest()


def machine_row(organization: str, machine: bytes) -> Key:
    """Where a machine lives."""
    return AgentIdentityItem, _pk(organization, machine), None


def _pk(organization: str, machine: bytes) -> str:
    return f"{organization}#machine#{machine.hex()}"


def find(organization: str, machine: bytes) -> Machine:
    """A machine, as it is now."""
    return Machine.of(AgentIdentityItem.read(_pk(organization, machine)))


def join(transaction: Transaction, organization: str, machine: bytes, agent: Resident) -> None:
    """Add that an agent lives on a machine (part `machine`); refused where `MOST_AGENTS` do."""
    transaction.update(
        "machine",
        _Item(_pk(organization, machine)),
        [_Item.agents.add({str(agent)})],
        _Item.agents.does_not_exist() | (size("agents") < MOST_AGENTS),
    )


def crowd(transaction: Transaction, organization: str, machine: bytes) -> None:
    """Add that an agent lives on a machine whose row has no room for it (part `machine`).

    That stays noted: who is not in the row cannot be seen to leave.
    """
    transaction.update(
        "machine", _Item(_pk(organization, machine)), [_Item.crowded.set(value=True)], None
    )


def succeed(
    transaction: Transaction,
    organization: str,
    machine: bytes,
    *,
    seen: Machine,
    former: Resident,
    agent: Resident,
) -> None:
    """Add that an agent takes a former one's place (part `machine`), unless others came or went."""
    unmoved: Condition = (size("agents") == len(seen.residents)) & _Item.crowded.does_not_exist()
    for one in seen.residents:
        unmoved &= _Item.agents.contains(str(one))
    after = seen.residents - {former} | {agent}
    transaction.update(
        "machine",
        _Item(_pk(organization, machine)),
        [_Item.agents.set(set(map(str, after)))],
        unmoved,
    )


def leave(
    transaction: Transaction, organization: str, machine: bytes, agents: set[Resident], part: str
) -> None:
    """Add that agents live on a machine no more. Those that never stood there change nothing."""
    transaction.update(
        part, _Item(_pk(organization, machine)), [_Item.agents.delete(set(map(str, agents)))], None
    )
