"""The chain of an export: every batch's signature, leaves and place. Needs no AWS."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from chalicelib.evidence.sealed_batch import NOTHING_BEFORE, Header, SealedBatch, parsed
from infra.audit_findings import (
    CHANGED,
    INSERTED,
    REMOVED,
    SWAPPED,
    Finding,
    batch_finding,
    record_finding,
)


@dataclass(frozen=True, slots=True)
class ExpectedHead:
    """Where the chain has to come to: a batch's number and its header's digest."""

    number: int
    digest: str


@dataclass(slots=True)
class SealedRecord:
    """What a batch says of a record; `found` when the export has it as it was sealed."""

    hash: str
    at: int
    retained_until: int
    found: bool = False


def milliseconds(text: str) -> int:
    """A time of a header.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.datetime.fromisoformat(text)
    epoch = datetime.datetime.fromtimestamp(0, tz=datetime.UTC)
    return (moment.astimezone(datetime.UTC) - epoch) // datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A line: the number that it claims, its batch where it is one, and why it is not trusted."""

    number: int
    batch: SealedBatch | None
    wrong: str | None

    @property
    def trusted(self) -> bool:
        return self.wrong is None


def flaw_of(batch: SealedBatch, key: ec.EllipticCurvePublicKey) -> str | None:
    """Why a batch is not one that the key signed, or None."""
    if flaw := batch.flaw():
        return flaw
    scheme = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    try:
        key.verify(batch.raw_signature(), batch.header.digest(), scheme)
    except (InvalidSignature, ValueError):
        return "the signature is not that of the key"
    return None


@dataclass(slots=True)
class Chain:
    """Batches, taken in one by one in the order of the export.

    Args:
        key: the stage's public key.
        organization: whose batches they must be; that of the first where nobody says.
        head: where the chain has to come to, where somebody says.
    """

    key: ec.EllipticCurvePublicKey
    organization: str | None = None
    head: ExpectedHead | None = None
    records: dict[str, SealedRecord] = field(default_factory=dict)
    untrusted: set[str] = field(default_factory=set)
    findings: list[tuple[int, Finding]] = field(default_factory=list)
    _headers: dict[int, Header] = field(default_factory=dict)
    _numbers: set[int] = field(default_factory=set)
    _swapped: set[int] = field(default_factory=set)

    @property
    def first(self) -> Header | None:
        """The header of the lowest number that can be trusted."""
        return self._headers[min(self._headers)] if self._headers else None

    @property
    def span(self) -> tuple[int, int] | None:
        """The lowest and the highest number that can be trusted."""
        return (min(self._headers), max(self._headers)) if self._headers else None

    @property
    def sealed_at(self) -> int | None:
        """When the newest batch was sealed."""
        times = [milliseconds(header.sealed_at) for header in self._headers.values()]
        return max(times) if times else None

    def take(self, lines: Sequence[str]) -> None:
        """Look at all batches, and then at how they follow one another."""
        looked = [self._judged(line) for line in lines]
        self._numbers = {one.number for one in looked if one.trusted}
        last = _place_before(looked)
        for one in looked:
            # What nobody signed stands where it stands, whatever number it claims.
            claimed = last <= one.number <= last + 1 and one.number > 0
            number = one.number if one.trusted or claimed else last + 1
            if one.batch is not None and one.trusted:
                self._place(one.batch, last)
            else:
                self._untrusted(one, number)
            self._numbers.add(number)
            last = max(last, number)
        self._links()
        self._end()

    def _judged(self, line: str) -> _Looked:
        number = _number(line) or 0
        try:
            batch = parsed(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _Looked(number, None, f"it cannot be read: {error}")
        wrong = flaw_of(batch, self.key)
        if wrong is None and number == 0:
            wrong = "it has no number"
        return _Looked(number, batch, wrong)

    def _place(self, batch: SealedBatch, last: int) -> None:
        number = batch.header.number
        if number in self._headers:
            self._note(number, INSERTED, "there are two batches of this number")
        else:
            if number < last and number not in self._swapped:
                self._note(number, SWAPPED, f"it stands after batch {last}")
            self._enter_header(batch)
        if last and last < number:
            self._gap(last + 1, number)

    def _untrusted(self, one: _Looked, number: int) -> None:
        beyond = self.head is not None and number > self.head.number
        self._note(number, INSERTED if beyond else CHANGED, one.wrong or "")
        if one.batch is not None:
            self.untrusted.update(leaf.id for leaf in one.batch.leaves)

    def _note(self, number: int, problem: str, because: str) -> None:
        self.findings.append((number, batch_finding(number, problem, because)))

    def _enter_header(self, batch: SealedBatch) -> None:
        number = batch.header.number
        self.organization = self.organization or batch.header.organization
        if batch.header.organization != self.organization:
            self._note(number, INSERTED, f"it is of {batch.header.organization}")
            return
        self._headers[number] = batch.header
        self._enter(batch)

    def _enter(self, batch: SealedBatch) -> None:
        until = milliseconds(batch.header.retain_until)
        for leaf in batch.leaves:
            known = self.records.setdefault(leaf.id, SealedRecord(leaf.hash, leaf.at, until))
            # A stream may repeat itself: the same record twice is the same record.
            if known.hash != leaf.hash:
                because = "two batches seal it, and not in the same form"
                finding = record_finding(leaf.id, CHANGED, because)
                self.findings.append((batch.header.number, finding))

    def _gap(self, low: int, before: int) -> None:
        """Tell of the numbers from one on that do not stand before another."""
        for number in sorted(one for one in self._numbers if low <= one < before):
            if number > low:
                self._missing(low, number - 1, before)
            if number not in self._headers:
                self._note(number, SWAPPED, f"it stands after batch {before}")
                self._swapped.add(number)
            low = number + 1
        if low < before:
            self._missing(low, before - 1, before)

    def _missing(self, low: int, high: int, before: int) -> None:
        because = f"batch {before} follows after a gap"
        name = str(low) if low == high else f"{low}..{high}"
        self.findings.append((low, Finding("batch", name, REMOVED, because)))

    def _links(self) -> None:
        for number, header in self._headers.items():
            if number > 1 and number - 1 not in self._headers:
                continue  # told of, or before the export's first
            expected = NOTHING_BEFORE if number == 1 else self._headers[number - 1].digest()
            if header.previous != expected.hex():
                self._note(number, CHANGED, f"it does not name batch {number - 1} as it is")

    def _end(self) -> None:
        head = self.head
        if head is None:
            return
        last = max(self._numbers, default=0)
        if last < head.number:
            self._note(last + 1, REMOVED, f"the chain came to batch {head.number}")
        found = self._headers.get(head.number)
        if found is not None and found.digest().hex() != head.digest:
            self._note(head.number, CHANGED, "its digest is not the expected one")


def _place_before(looked: Sequence[_Looked]) -> int:
    """The number before the first line: by the first batch that can be trusted."""
    for place, one in enumerate(looked):
        if one.trusted:
            return max(0, one.number - place - 1) if place else 0
    return max(0, looked[0].number - 1) if looked else 0


class _NumberOnly(msgspec.Struct):
    number: int


class _HeaderOnly(msgspec.Struct):
    header: _NumberOnly


def _number(line: str) -> int | None:
    try:
        number = msgspec.json.decode(line, type=_HeaderOnly).header.number
    except (msgspec.MsgspecError, RecursionError):
        return None
    return number if number > 0 else None
