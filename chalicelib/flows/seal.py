"""Sealing: an organization's audit records, in the order in which they arrive, into batches.

Batches are numbered from 1 without a gap, and each names the one before. First the batch is
written, then the chain's head moves on: what dies between leaves a batch that the next finds and
takes up. Of several at once, one writes a number and the others go on after it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from chalicelib.errors import DomainError
from chalicelib.evidence import sealed_batch
from chalicelib.evidence.publisher import Record, check_place
from chalicelib.evidence.record_form import form_hash, record_form
from chalicelib.evidence.sealed_batch import Leaf, SealedBatch
from chalicelib.evidence.signer import Signer
from chalicelib.flows.chain_tip import MARK_BYTES, SignedChain, mark
from chalicelib.flows.contention import Patience
from chalicelib.store import seals
from chalicelib.store.evidence_bucket import EvidenceBucket
from chalicelib.store.seals import Head

DAY_MS = 86_400_000
# A stream keeps a record for a day and a record bears the time of its request: what claims to be
# older was not written by us now, and what claims to be of tomorrow would be kept for too long.
_OLDEST_MS = 2 * DAY_MS
_NEWEST_MS = 3_600_000
# Rows outlive what their batch promises by two days: a batch must be there as long as its rows, or
# they would look like ones that somebody inserted.
_LOCK_MARGIN_MS = 3 * DAY_MS
# Marks of so many records before the last batch: a stream that repeats itself repeats its end.
_MARKS = 512


class NotSealedError(RuntimeError):
    """Some records are not sealed yet; the stream must deliver the batch again."""


class Sealable(msgspec.Struct, frozen=True):
    """A record on its way into a batch."""

    organization: str
    leaf: Leaf


class Sealed(msgspec.Struct, frozen=True):
    """How many records went into how many new batches."""

    records: int
    batches: int


@dataclass(frozen=True)
class SealTools:
    """What sealing works with.

    Args:
        bucket: where batches are kept.
        signer: signs their headers.
        patience: how contention is waited out.
        clock: milliseconds since the epoch.
        time_is_up: whether the function should come to an end.
        retention_days: how long a batch promises that its records are there.
        forged: is told of a batch that nobody with the key has made: organization and number.
    """

    bucket: EvidenceBucket
    signer: Signer
    patience: Patience
    clock: Callable[[], int]
    time_is_up: Callable[[], bool]
    retention_days: int
    forged: Callable[[str, int], None]

    @property
    def chain(self) -> SignedChain:
        """The batches that there are."""
        return SignedChain(self.bucket, self.signer, self.forged)


def sealable(record: Record, now: int) -> Sealable:
    """What a batch says of a record.

    Raises:
        ValueError, TypeError, OverflowError: it does not stand where its own members say, or it
            is not of this time.
    """
    check_place(record)
    at = int(record.at)
    if not now - _OLDEST_MS <= at <= now + _NEWEST_MS:
        raise ValueError("the time is not of these days")
    if not str(record.sort).startswith(f"{at:015d}#"):
        raise ValueError("the key is of another time")
    leaf = Leaf(str(record.id), at, form_hash(record_form(record)).hex())
    return Sealable(str(record.organization), leaf)


def seal(tools: SealTools, records: Iterable[Sealable]) -> Sealed:
    """Seal records, each once; one organization's trouble does not hold up the others.

    Raises:
        NotSealedError: KMS, S3 or DynamoDB did not answer, or the time is up. What was sealed is
            known to be when the same records come again.
    """
    waiting: dict[str, dict[str, Leaf]] = {}
    for record in records:
        waiting.setdefault(record.organization, {})[record.leaf.id] = record.leaf
    done = batches = 0
    failed: list[DomainError] = []
    for organization, leaves in waiting.items():
        if tools.time_is_up():
            raise NotSealedError("no time is left")
        try:
            count = _seal(tools, organization, list(leaves.values()))
        except DomainError as error:
            failed.append(error)
            continue
        done += count
        batches += count > 0
    if failed:
        causes = sorted({error.cause or error.code for error in failed})
        raise NotSealedError("; ".join(causes)) from failed[0]
    return Sealed(done, batches)


def _seal(tools: SealTools, organization: str, leaves: Sequence[Leaf]) -> int:
    """Seal one organization's records; how many went into a batch of this call's."""
    rounds = tools.patience.rounds()
    while True:
        row = seals.head(organization)
        tip = tools.chain.tip(organization, row)
        fresh = tools.chain.unsealed(organization, row, tip, leaves)
        if not fresh:
            return 0
        if tools.time_is_up():
            raise NotSealedError("no time is left")
        ours = _signed(tools, organization, tip.head, fresh)
        there = _placed(tools, ours)
        if there is None:
            next(rounds)
            continue
        if there.header.previous != ours.header.previous:
            # Only the head's row can be wrong: the signature says that the batch is not.
            tools.forged(organization, there.header.number - 1)
        # Where this does not move the head, another took the batch up, or the next one will.
        moved = seals.advance(organization, row, _after(tip.head, there), tools.clock())
        if there is ours:
            return len(fresh)
        if not moved:
            next(rounds)


def _placed(tools: SealTools, ours: SealedBatch) -> SealedBatch | None:
    """Put our batch where it belongs, and say which one stands there; None: look again.

    Another one is that of somebody who died before moving the head, or is about to. What the key
    has not signed is not a batch: ours is put before it.
    """
    if _put(tools, ours):
        return ours
    organization, number = ours.header.organization, ours.header.number
    stored = tools.bucket.find(organization, number)
    if stored is None:
        return None
    found = tools.chain.authentic(organization, number, stored)
    if found is not None:
        return found
    tools.forged(organization, number)
    return ours if _put(tools, ours, instead_of=stored.etag) else None


def _signed(
    tools: SealTools, organization: str, head: Head | None, leaves: Sequence[Leaf]
) -> SealedBatch:
    header = sealed_batch.header_of(
        organization,
        head.number + 1 if head else 1,
        head.digest if head else sealed_batch.NOTHING_BEFORE,
        leaves,
        sealed_at=tools.clock(),
        retained_ms=tools.retention_days * DAY_MS,
    )
    return sealed_batch.signed(header, leaves, tools.signer.sign(header.digest()))


def _put(tools: SealTools, batch: SealedBatch, instead_of: str | None = None) -> bool:
    header = batch.header
    newest = max(leaf.at for leaf in batch.leaves)
    return tools.bucket.put(
        header.organization,
        header.number,
        sealed_batch.written(batch),
        # A lock that has ended already is refused; a stream may bring what is a day old.
        locked_until=max(newest + tools.retention_days * DAY_MS, tools.clock()) + _LOCK_MARGIN_MS,
        instead_of=instead_of,
    )


def _after(head: Head | None, batch: SealedBatch) -> Head:
    marks = b"".join(map(mark, batch.leaves))
    before = head.recent[-_MARKS * MARK_BYTES :] if head else b""
    return Head(batch.header.number, batch.header.digest(), before + marks)
