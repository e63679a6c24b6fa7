"""What changes a presence row besides beats: quarantine, release, rotation, a split's claim, facts.

Each is a part of a transaction that has its evidence, too.
"""

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.store import instances
from chalicelib.store.agent_presence import OFFLINE, ONLINE, QUARANTINED, REVOKED, AgentPresenceItem
from chalicelib.store.presence_writes import holds
from chalicelib.store.transaction import Transaction

_P = AgentPresenceItem


def quarantine(transaction: Transaction, seen: AgentPresenceItem, reason: str) -> None:
    """Add the quarantine of an agent (part `presence`), unless its row changed since it was seen.

    Its keys stay: only their holders can ever come back. The `reason` is told to the agent.
    """
    transaction.update(
        "presence",
        _P(seen.pk),
        [_P.status.set(QUARANTINED), _P.quarantine_reason.set(reason), _P.due.remove()],
        (_P.status == seen.status)
        & (_P.instance == seen.instance if seen.instance else _P.instance.does_not_exist()),
    )


def release(
    transaction: Transaction,
    seen: AgentPresenceItem,
    *,
    status: str,
    split: bytes | None,
    now: int,
    due: str | None,
) -> None:
    """Add the end of a quarantine (part `presence`): what was known of copies is forgotten.

    Args:
        transaction: takes it.
        seen: the row as it was read.
        status: what the agent is until its next beat.
        split: fingerprint of the instance that is to take an identity of its own.
        now: milliseconds since the epoch.
        due: where the agent waits in the overdue index, if it is online.
    """
    actions: list[Action] = [
        _P.status.set(status),
        _P.due.set(due) if due is not None else _P.due.remove(),
        _P.released_at.set(now),
        _P.quarantine_reason.remove(),
        _P.earlier_instances.remove(),
    ]
    condition: Condition = _P.status == QUARANTINED
    if split is None:
        actions += [_P.split.remove(), _P.split_keys.remove()]
    else:
        # The copy has one of these keys, and no other may be all that is kept of them: a
        # quarantined agent may rotate at this moment.
        actions += [_P.split.set(split), _P.split_keys.set(_keys_of(seen))]
        condition = condition & (_P.key == seen.key) & _pending_as_seen(seen)
        if seen.instance and instances.fingerprint(seen.instance) == split:
            actions += [
                _P.instance.remove(),
                _P.instance_since.remove(),
                _P.source_address.remove(),
            ]
    transaction.update("presence", _P(seen.pk), actions, condition)


def _keys_of(seen: AgentPresenceItem) -> bytes:
    key, pending = bytes(seen.key), bytes(seen.pending_key or b"")
    return key if pending == key else key + pending


def _pending_as_seen(seen: AgentPresenceItem) -> Condition:
    condition: Condition = (
        _P.pending_key == seen.pending_key
        if seen.pending_key is not None
        else _P.pending_key.does_not_exist()
    )
    return condition


def _split_as_seen(seen: AgentPresenceItem) -> Condition:
    # Whoever speaks for the agent may be the copy that is to go, since this moment.
    condition: Condition = (
        _P.split == seen.split if seen.split is not None else _P.split.does_not_exist()
    )
    return condition


def rotate(
    transaction: Transaction,
    seen: AgentPresenceItem,
    *,
    shown: bytes,
    pending: bytes,
    now: int,
    last_before: int,
) -> None:
    """Add a pending key (part `presence`); the one that was shown is the agent's until its use.

    An operator's wish for it stays until the new one is used: its answer may be lost.

    Args:
        transaction: takes it.
        seen: the row as it was read.
        shown: hash of the key that the agent showed.
        pending: hash of the new one. It replaces a pending one that nobody used.
        now: milliseconds since the epoch.
        last_before: refused where the last rotation was later than that.
    """
    waited: Condition = _P.rotated_at.does_not_exist() | (_P.rotated_at <= last_before)
    transaction.update(
        "presence",
        _P(seen.pk),
        [_P.key.set(shown), _P.pending_key.set(pending), _P.rotated_at.set(now)],
        holds(shown) & (_P.status == seen.status) & _split_as_seen(seen) & waited,
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
    transaction: Transaction, seen: AgentPresenceItem, *, key: bytes, split: bytes
) -> None:
    """Add the condition that a copy is to take an identity of its own (part `presence`)."""
    known: Condition = (
        _P.split_keys == seen.split_keys if instances.was_good_at_split(seen, key) else holds(key)
    )
    transaction.check(
        "presence",
        _P(seen.pk),
        (_P.split == split) & known & _P.status.is_in(ONLINE, OFFLINE),
    )


def check_trusted(transaction: Transaction, organization: str, agent: str) -> None:
    """Add the condition that an agent was neither revoked nor quarantined (part `presence`)."""
    transaction.check(
        "presence",
        _P(f"{organization}#{agent}"),
        _P.pk.exists() & ~_P.status.is_in(REVOKED, QUARANTINED),
    )


def note_facts(transaction: Transaction, seen: AgentPresenceItem, sha256: bytes) -> None:
    """Add which facts are stored (part `presence`), if the agent's status is what was seen."""
    transaction.update(
        "presence",
        _P(seen.pk),
        [_P.facts.set(sha256)],
        (_P.status == seen.status) & (_P.key == seen.key) & _split_as_seen(seen),
    )
