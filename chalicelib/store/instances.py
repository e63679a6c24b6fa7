"""The processes (instances) of an agent that were heard before the present one.

Each start of an agent's process is a new instance. One that returns after another was heard is
alive beside it: two copies of one identity. Six of the latest are kept and six of the oldest that
count still: of many copies that beat in turn some are always known, and a process that starts again
and again does not push a live one out.
"""

import hashlib
import struct

import msgspec

from chalicelib.store.agent_presence import AgentPresenceItem

MOST_KEPT = 12
STRAGGLERS_END_MS = 30_000
"""A request of a process that ended arrives within this time: API Gateway gives up earlier."""
_SILENT_QUARTERS = 12
_ROUNDING_MS = 5_000
_ENTRY = struct.Struct(">8sIQ")
_HASH = 32


class Earlier(msgspec.Struct, frozen=True):
    """An instance as it was heard last.

    Args:
        fingerprint: of the instance's identifier.
        last_seen: its last accepted beat, in milliseconds since the epoch (to the second).
        sequence: of that beat.
        followed_at: when another instance had taken over from it, at the latest.
    """

    fingerprint: bytes
    last_seen: int
    sequence: int
    followed_at: int


def fingerprint(instance: str) -> bytes:
    """What is kept of an instance: enough to tell a few apart."""
    return hashlib.sha256(instance.encode()).digest()[:8]


def is_to_split(row: AgentPresenceItem, instance: str) -> bool:
    """Whether an operator decided that this instance is to take an identity of its own."""
    return row.split is not None and bytes(row.split) == fingerprint(instance)


def was_good_at_split(row: AgentPresenceItem, key: bytes) -> bool:
    """Whether a key's hash is of those that the agent had when that was decided."""
    keys = bytes(row.split_keys or b"")
    return key in (keys[:_HASH], keys[_HASH:])


def earlier(row: AgentPresenceItem) -> list[Earlier]:
    """The instances before the present one, the latest first."""
    found: list[Earlier] = []
    # The present one followed the first of them, and that one had followed the second when it was
    # heard last.
    followed_at = int(row.instance_since or 0)
    for name, seconds, sequence in _ENTRY.iter_unpack(bytes(row.earlier_instances or b"")):
        found.append(Earlier(name, seconds * 1000, sequence, followed_at))
        followed_at = found[-1].last_seen + 999  # it is kept to the second
    return found


def returned(row: AgentPresenceItem, instance: str) -> Earlier | None:
    """The earlier instance that this one is, if it is one."""
    name = fingerprint(instance)
    return next((one for one in earlier(row) if one.fingerprint == name), None)


def longest_silence(row: AgentPresenceItem) -> int:
    """How long an instance may be silent and counts as one that runs, in milliseconds.

    Three of the intervals that the agent was told last, of which a quarter lies between two beats
    at least; and as long as it may be told to wait, in whole seconds.
    """
    quarter = int(row.next_allowed or 0) - int(row.last_seen or 0)
    return _SILENT_QUARTERS * quarter + STRAGGLERS_END_MS + _ROUNDING_MS


def after(row: AgentPresenceItem, now: int, *, but: str) -> bytes:
    """What is kept once another instance takes over from the row's present one.

    Args:
        row: as it was before.
        now: milliseconds since the epoch.
        but: the instance that takes over; it is no earlier one.
    """
    if not row.instance:
        return b""
    heard = Earlier(
        fingerprint(str(row.instance)), int(row.last_seen or now), int(row.sequence or 0), now
    )
    counting_since = now - longest_silence(row)
    counting = [one for one in earlier(row) if one.last_seen >= counting_since]
    # The one before is kept however long it was silent: a request of it may be under way still.
    known = [one for one in (heard, *counting) if one.fingerprint != fingerprint(but)]
    latest, rest = known[: MOST_KEPT // 2], known[MOST_KEPT // 2 :]
    return b"".join(
        _ENTRY.pack(one.fingerprint, one.last_seen // 1000, one.sequence)
        for one in (*latest, *rest[-MOST_KEPT // 2 :])
    )
