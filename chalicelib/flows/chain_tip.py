"""Where an organization's chain really ends, and which records are in it.

The head is a row, and a role that seals nothing may write rows of its table. So the row only says
where to look: what counts are the batches, which the key signed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from chalicelib.evidence import sealed_batch
from chalicelib.evidence.sealed_batch import Leaf, SealedBatch
from chalicelib.evidence.signer import Signer
from chalicelib.store import seals
from chalicelib.store.evidence_bucket import EvidenceBucket, StoredBatch
from chalicelib.store.seals import Head

MARK_BYTES = 8
# How many objects that nobody signed are passed over in search of the last one that somebody did.
_MOST_FORGED = 8


def mark(leaf: Leaf) -> bytes:
    """What the head's row remembers of a record."""
    return hashlib.sha256(leaf.id.encode()).digest()[:MARK_BYTES]


class Tip(msgspec.Struct, frozen=True):
    """What the next batch follows.

    Args:
        head: number and digest of the last batch; None before the first.
        batch: that batch, where it can be read and is what the head says.
    """

    head: Head | None
    batch: SealedBatch | None


@dataclass(frozen=True)
class SignedChain:
    """The batches of all organizations.

    Args:
        bucket: where they are kept.
        signer: knows its own signatures.
        forged: is told of a batch that nobody with the key has made: organization and number.
    """

    bucket: EvidenceBucket
    signer: Signer
    forged: Callable[[str, int], None]

    def tip(self, organization: str, row: Head | None) -> Tip:
        """The end of the chain; who changed the head's row or its batch is told of.

        Raises:
            Unavailable: S3, KMS or DynamoDB did not answer.
        """
        if row is None:
            found = self._last_signed(organization)
            further = found.head is not None and found.head.number > 1
            # Who dies after the first batch leaves no head either, and others may be at work.
            if found.head is not None and further and seals.head(organization) is None:
                self.forged(organization, found.head.number)
            return found
        stored = self.bucket.find(organization, row.number)
        batch = None if stored is None else _well_made(organization, row.number, stored)
        if batch is not None and batch.header.digest() == row.digest:
            return Tip(row, batch)
        if stored is None:
            found = self._last_signed(organization)
            if found.head is None:
                return Tip(row, None)  # it has been quiet for so long that every batch is gone
            self.forged(organization, row.number)
            return found
        self.forged(organization, row.number)
        signed = self.authentic(organization, row.number, stored)
        # The object is the forged one where the key has not signed it: the row is left to go by.
        return Tip(row, None) if signed is None else _at(signed)

    def authentic(self, organization: str, number: int, stored: StoredBatch) -> SealedBatch | None:
        """The batch of an object, if the key has signed it for this place.

        Raises:
            Unavailable: KMS did not answer.
        """
        batch = _well_made(organization, number, stored)
        if batch is None:
            return None
        try:
            signature = batch.raw_signature()
        except ValueError:
            return None
        return batch if self.signer.signed(batch.header.digest(), signature) else None

    def unsealed(
        self, organization: str, row: Head | None, tip: Tip, leaves: Sequence[Leaf]
    ) -> list[Leaf]:
        """Those that no batch holds, as far back as the row's marks go.

        A mark alone proves nothing: with one that somebody else put there, a record would never be
        sealed. What a mark says is looked up, and sealed again where it is not true.

        Raises:
            Unavailable: S3 did not answer.
        """
        batch = tip.batch
        if batch is None:
            return list(leaves)
        recent = row.recent if row else b""
        said = {recent[at : at + MARK_BYTES] for at in range(0, len(recent), MARK_BYTES)}
        sealed = {leaf.id for leaf in batch.leaves}
        doubtful = {leaf.id for leaf in leaves if mark(leaf) in said} - sealed
        left = len(said) - len(batch.leaves)
        while doubtful and left > 0:
            before = self._before(organization, batch)
            if before is None:
                break
            batch = before
            sealed |= {leaf.id for leaf in batch.leaves}
            doubtful -= sealed
            left -= len(batch.leaves)
        if doubtful:
            self.forged(organization, row.number if row else 0)
        return [leaf for leaf in leaves if leaf.id not in sealed]

    def _before(self, organization: str, batch: SealedBatch) -> SealedBatch | None:
        number = batch.header.number - 1
        stored = self.bucket.find(organization, number) if number else None
        found = None if stored is None else _well_made(organization, number, stored)
        # A signed batch names it by its digest: nobody has to verify its own signature.
        named = found is not None and found.header.digest().hex() == batch.header.previous
        return found if named else None

    def _last_signed(self, organization: str) -> Tip:
        number = self.bucket.last(organization)
        for _ in range(_MOST_FORGED):
            if number is None:
                break
            stored = self.bucket.find(organization, number)
            found = None if stored is None else self.authentic(organization, number, stored)
            if found is not None:
                return _at(found)
            number = self.bucket.last(organization, below=number)
        return Tip(None, None)


def _at(batch: SealedBatch) -> Tip:
    marks = b"".join(map(mark, batch.leaves))
    return Tip(Head(batch.header.number, batch.header.digest(), marks), batch)


def _well_made(organization: str, number: int, stored: StoredBatch) -> SealedBatch | None:
    try:
        batch = sealed_batch.parsed(stored.body)
    except (msgspec.MsgspecError, ValueError):
        return None
    header = batch.header
    if (header.organization, header.number) != (organization, number) or batch.flaw():
        return None
    return batch
