"""A sealed batch: some of an organization's audit records, by their hashes, under a signature.

The header names the batch before by its digest, so the batches are a chain; the digest of the
header is what is signed. All that stands in a batch is bound to its header.
"""

import base64
from collections.abc import Sequence

import msgspec

from chalicelib.evidence import merkle
from chalicelib.evidence.canonical import canonical, digest_of
from chalicelib.evidence.envelope import rfc3339

VERSION = 1
NOTHING_BEFORE = bytes(32)
"""What the first batch names as the one before it."""


class Leaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One record: its identifier, its time in milliseconds, and its leaf's hash."""

    id: str
    at: int
    hash: str


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. Hashes are SHA-256 in hexadecimal, times RFC 3339.

    `root` is of the tree over the leaves, `leaves` the digest of their list. `first` and `last`
    are the times of the oldest and the newest record. Before `retain_until` a record that is
    missing was removed; after it, its time was over.
    """

    version: int
    organization: str
    number: int
    previous: str
    root: str
    leaves: str
    count: int
    first: str
    last: str
    sealed_at: str
    retain_until: str

    def digest(self) -> bytes:
        """What is signed, and what the next batch names."""
        return digest_of(msgspec.to_builtins(self))


class SealedBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A header, its leaves, and the signature (ECDSA in DER, in base64) of the header's digest."""

    header: Header
    leaves: list[Leaf]
    signature: str

    def raw_signature(self) -> bytes:
        """The signature's bytes.

        Raises:
            ValueError: it is not base64.
        """
        return base64.b64decode(self.signature, validate=True)

    def flaw(self) -> str | None:
        """Why the leaves are not those of the header, or None."""
        if self.header.version != VERSION:
            return f"version {self.header.version} is not known"
        if self.header.leaves != _digest_of_list(self.leaves):
            return "the leaves are not those of the header"
        if self.header.count != len(self.leaves):
            return "the number of leaves is not the header's"
        if self.header.root != _root_of(self.leaves):
            return "the root is not that of the leaves"
        return None


def header_of(
    organization: str,
    number: int,
    previous: bytes,
    leaves: Sequence[Leaf],
    *,
    sealed_at: int,
    retained_ms: int,
) -> Header:
    """The header of a new batch of at least one leaf; times in milliseconds."""
    times = [leaf.at for leaf in leaves]
    return Header(
        version=VERSION,
        organization=organization,
        number=number,
        previous=previous.hex(),
        root=_root_of(leaves),
        leaves=_digest_of_list(leaves),
        count=len(leaves),
        first=rfc3339(min(times)),
        last=rfc3339(max(times)),
        sealed_at=rfc3339(sealed_at),
        retain_until=rfc3339(max(times) + retained_ms),
    )


def signed(header: Header, leaves: Sequence[Leaf], signature: bytes) -> SealedBatch:
    """A batch with its signature."""
    return SealedBatch(
        header=header, leaves=list(leaves), signature=base64.b64encode(signature).decode()
    )


def written(batch: SealedBatch) -> bytes:
    """A batch as it is kept: one line, without its end."""
    return canonical(msgspec.to_builtins(batch))


def parsed(raw: bytes | str) -> SealedBatch:
    """What `written` made.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is something else.
    """
    return msgspec.json.decode(raw, type=SealedBatch)


def _root_of(leaves: Sequence[Leaf]) -> str:
    try:
        return merkle.root([bytes.fromhex(leaf.hash) for leaf in leaves]).hex()
    except ValueError:
        return ""  # what is not hexadecimal has no root


def _digest_of_list(leaves: Sequence[Leaf]) -> str:
    return digest_of(msgspec.to_builtins(list(leaves))).hex()
