"""Facts: what a host says about itself, as its agent sent it last, and how that changed."""

from typing import Any

from chalicelib.store.agent_identities import ACTIVE, AgentIdentityItem
from chalicelib.store.table import Key
from chalicelib.store.transaction import Transaction

_Item = AgentIdentityItem


def facts_row(organization: str, agent: str) -> Key:
    """Where an agent's facts live."""
    return AgentIdentityItem, f"{organization}#{agent}#facts", None


def find(organization: str, agent: str) -> AgentIdentityItem | None:
    """An agent's facts, as they are now; None where it sent none yet."""
    return AgentIdentityItem.read(f"{organization}#{agent}#facts")


def put(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    before: AgentIdentityItem | None,
    facts: dict[str, Any],
    sha256: bytes,
    changes: list[dict[str, Any]],
    now: int,
) -> None:
    """Add the facts (part `facts`), if they are still those that were read before."""
    revision = int(before.revision or 0) if before is not None else 0
    row = _Item(
        f"{organization}#{agent}#facts",
        agent_id=agent,
        created_at=before.created_at if before is not None else now,
        facts=facts,
        facts_sha256=sha256,
        facts_received_at=now,
        facts_changes=changes,
        revision=revision + 1,
    )
    unmoved = _Item.revision == revision if before is not None else _Item.pk.does_not_exist()
    transaction.put("facts", row, unmoved)


def keep_current(
    transaction: Transaction, row: AgentIdentityItem, values: dict[str, str | bytes]
) -> None:
    """Add what a host says of itself anew (part `identity`), unless the row was changed.

    `hostname`, `os`, `arch` or `machine_fingerprint`.
    """
    transaction.update(
        "identity",
        _Item(row.pk),
        [
            *(getattr(_Item, name).set(value) for name, value in values.items()),
            _Item.revision.set(int(row.revision) + 1),
        ],
        (_Item.revision == row.revision) & (_Item.status == ACTIVE),
    )
