"""What changes a presence row besides beats: quarantine, release, rotation, and a split's claim.

Each is a part of a transaction that has its evidence, too.
"""

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.store import instances
from chalicelib.store.agent_presence import OFFLINE, ONLINE, QUARANTINED, REVOKED, AgentPresenceItem
from chalicelib.store.transaction import Transaction

_P = AgentPresenceItem


def quarantine(transaction: Transaction, seen: AgentPresenceItem) -> None:
    """Add the quarantine of an agent (part `presence`), unless its row changed since it was seen.

    Its keys stay: only their holders can ever come back.
    """
    transaction.update(
        "presence",
        _P(seen.pk),
        [_P.status.set(QUARANTINED), _P.due.remove()],
        (_P.status == seen.status)
        & (_P.instance == seen.instance if seen.instance else _P.instance.does_not_exist()),
    )


def release(
    transaction: Transaction, seen: AgentPresenceItem, *, status: str, split: bytes | None
) -> None:
    """Add the end of a quarantine (part `presence`): what was known of copies is forgotten.

    Args:
        transaction: takes it.
        seen: the row as it was read.
        status: what the agent is until it is heard again.
        split: fingerprint of the instance that is to take an identity of its own.
    """
    actions: list[Action] = [_P.status.set(status), _P.earlier_instances.remove()]
    actions.append(_P.split.set(split) if split is not None else _P.split.remove())
    if split is not None and seen.instance and instances.fingerprint(seen.instance) == split:
        actions += [_P.instance.remove(), _P.instance_since.remove(), _P.source_address.remove()]
    transaction.update("presence", _P(seen.pk), actions, _P.status == QUARANTINED)


def rotate(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    shown: bytes,
    pending: bytes,
    now: int,
    last_before: int,
) -> None:
    """Add a pending key (part `presence`); the one that was shown is the agent's until its use.

    Args:
        transaction: takes it.
        organization: the tenant.
        agent: whose key it is.
        shown: hash of the key that the agent showed.
        pending: hash of the new one. It replaces a pending one that nobody used.
        now: milliseconds since the epoch.
        last_before: refused where the last rotation was later than that.
    """
    waited: Condition = _P.rotated_at.does_not_exist() | (_P.rotated_at <= last_before)
    transaction.update(
        "presence",
        _P(f"{organization}#{agent}"),
        [
            _P.key.set(shown),
            _P.pending_key.set(pending),
            _P.rotated_at.set(now),
            _P.rotation_requested.remove(),
        ],
        _holds(shown) & _P.status.is_in(ONLINE, OFFLINE) & waited,
    )


def request_rotation(transaction: Transaction, organization: str, agent: str) -> None:
    """Add an operator's wish for a new key (part `presence`): the next beat tells the agent."""
    transaction.update(
        "presence",
        _P(f"{organization}#{agent}"),
        [_P.rotation_requested.set(True)],
        _P.pk.exists() & (_P.status != REVOKED) & _P.rotation_requested.does_not_exist(),
    )


def check_split(
    transaction: Transaction, organization: str, agent: str, *, key: bytes, split: bytes
) -> None:
    """Add the condition that a copy is to take an identity of its own (part `presence`)."""
    transaction.check(
        "presence",
        _P(f"{organization}#{agent}"),
        (_P.split == split) & _holds(key) & _P.status.is_in(ONLINE, OFFLINE),
    )


def _holds(key: bytes) -> Condition:
    condition: Condition = (_P.key == key) | (_P.pending_key == key)
    return condition
