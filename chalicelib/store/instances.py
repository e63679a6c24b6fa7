"""The processes (instances) of an agent that were heard before the present one.

Each start of an agent's process is a new instance. One that returns after another was heard is
alive beside it: two copies of one identity. Twelve are kept: a quarter of the interval lies between
two beats that are accepted, so in the three intervals that matter there are no more.
"""

import hashlib
import struct

import msgspec

from chalicelib.store.agent_presence import AgentPresenceItem

MOST_KEPT = 12
_ENTRY = struct.Struct(">8sIQ")


class Earlier(msgspec.Struct, frozen=True):
    """An instance as it was heard last.

    Args:
        fingerprint: of the instance's identifier.
        last_seen: its last accepted beat, in milliseconds since the epoch (to the second).
        sequence: of that beat.
    """

    fingerprint: bytes
    last_seen: int
    sequence: int


def fingerprint(instance: str) -> bytes:
    """What is kept of an instance: enough to tell a few apart."""
    return hashlib.sha256(instance.encode()).digest()[:8]


def earlier(row: AgentPresenceItem) -> list[Earlier]:
    """The instances before the present one, the latest first."""
    packed = bytes(row.earlier_instances or b"")
    return [
        Earlier(name, seconds * 1000, sequence)
        for name, seconds, sequence in _ENTRY.iter_unpack(packed)
    ]


def returned(row: AgentPresenceItem, instance: str) -> Earlier | None:
    """The earlier instance that this one is, if it is one."""
    name = fingerprint(instance)
    return next((one for one in earlier(row) if one.fingerprint == name), None)


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
        fingerprint(str(row.instance)), int(row.last_seen or now), int(row.sequence or 0)
    )
    known = [heard, *earlier(row)]
    kept = [one for one in known if one.fingerprint != fingerprint(but)][:MOST_KEPT]
    return b"".join(
        _ENTRY.pack(one.fingerprint, one.last_seen // 1000, one.sequence) for one in kept
    )
