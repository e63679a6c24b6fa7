"""The hash tree of RFC 6962, section 2.1: one digest that stands for a list of leaves.

Leaves and nodes are hashed under different prefixes, so that no node can be passed off as a leaf.
"""

import hashlib
from collections.abc import Sequence

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(_LEAF + data).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in their order; that of none is SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    # Level by level, an odd one out moves up as it is: the same tree as the RFC's split at the
    # largest power of two, without its recursion.
    level = list(leaves)
    while len(level) > 1:
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
