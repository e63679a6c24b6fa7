"""Machines: which live agents a host has, by the HMAC of its machine id.

A machine id is a hardware fingerprint, and only a claim: what is kept is its HMAC under a key of
the organization, and nothing is ever decided by it alone.
"""

import hashlib
import hmac

from pynamodb.expressions.condition import Condition, size

from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.table import Key
from chalicelib.store.transaction import Transaction

MOST_AGENTS = 20
"""Images that share one machine id must not make a row grow with the fleet."""

_Item = AgentIdentityItem


def fingerprint(key: bytes | None, machine_id: str | None) -> bytes | None:
    """What is kept of a machine id; nothing where one of the two is missing."""
    if machine_id is None or key is None:
        return None
    return hmac.new(key, machine_id.encode(), hashlib.sha256).digest()


def machine_row(organization: str, machine: bytes) -> Key:
    """Where a machine lives."""
    return AgentIdentityItem, _pk(organization, machine), None


def _pk(organization: str, machine: bytes) -> str:
    return f"{organization}#machine#{machine.hex()}"


def agents_of(row: object) -> set[str]:
    """The live agents of a machine, from its row or from none."""
    return set(row.agents or ()) if isinstance(row, AgentIdentityItem) else set()


def find(organization: str, machine: bytes) -> set[str]:
    """The live agents of a machine, as they are now."""
    return agents_of(AgentIdentityItem.read(_pk(organization, machine)))


def join(transaction: Transaction, organization: str, machine: bytes, agent: str) -> None:
    """Add that an agent lives on a machine (part `machine`); refused where `MOST_AGENTS` do."""
    transaction.update(
        "machine",
        _Item(_pk(organization, machine)),
        [_Item.agents.add({agent})],
        _Item.agents.does_not_exist() | (size("agents") < MOST_AGENTS),
    )


def succeed(
    transaction: Transaction,
    organization: str,
    machine: bytes,
    *,
    seen: set[str],
    former: str,
    agent: str,
) -> None:
    """Add that an agent takes a former one's place (part `machine`), unless others came or went."""
    unmoved: Condition = size("agents") == len(seen)
    for one in seen:
        unmoved &= _Item.agents.contains(one)
    transaction.update(
        "machine",
        _Item(_pk(organization, machine)),
        [_Item.agents.set(seen - {former} | {agent})],
        unmoved,
    )


def leave(
    transaction: Transaction, organization: str, machine: bytes, agents: set[str], part: str
) -> None:
    """Add that agents live on a machine no more. Those that never stood there change nothing."""
    transaction.update(part, _Item(_pk(organization, machine)), [_Item.agents.delete(agents)], None)
