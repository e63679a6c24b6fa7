"""Verifies an export of audit records against its sealed batches. Needs no AWS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record_form import form_hash
from infra.audit_chain import Chain, ExpectedHead, milliseconds
from infra.audit_findings import (
    CHANGED,
    INSERTED,
    REMOVED,
    SWAPPED,
    Finding,
    Report,
    batch_finding,
    record_finding,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from chalicelib.evidence.sealed_batch import Header

# A stream brings a record within a day, or never.
_LATE_MS = 25 * 3_600_000
_SKEW_MS = 3_600_000
# How far the clocks of who makes records and of who exports them may be apart.
_CLOCKS_MS = 900_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the verification is about.

    Args:
        key: the stage's public key.
        now: the moment as of which records may be missing because their time was over.
        since: the export holds the records from here on (milliseconds, inclusive); None: all.
        until: and up to here.
        organization: whose, where somebody says.
        head: where the chain has to come to, where somebody says.
        grace: how much older than the newest batch a record may be and not sealed yet.
        partial: the export leaves records out, so none can be missed.
        disturbed: batches that something else was put over, or that were hidden.
    """

    key: ec.EllipticCurvePublicKey
    now: int
    since: int | None = None
    until: int | None = None
    organization: str | None = None
    head: ExpectedHead | None = None
    grace: int = 900_000
    partial: bool = False
    disturbed: tuple[int, ...] = ()
    exported: tuple[int | None, int | None] = (None, None)
    """The range that the export says it is of; it may be wider than the one that is verified."""

    def strange(self, at: int) -> str | None:
        """Why an export as it says it is cannot have a record of this time, or None."""
        low, high = self.exported
        if at > self.now + _CLOCKS_MS:
            return "it is dated after the export was made"
        if (low is not None and at < low) or (high is not None and at > high):
            return "it is outside of the range that the export says it is of"
        return None

    def covers(self, at: int) -> bool:
        """Whether the export should have what is of this time."""
        after = self.since is None or self.since <= at
        before = self.until is None or at <= self.until
        return after and before and not self.partial


def verify(batches: Sequence[str], records: Iterable[str], asked: Asked) -> Report:
    """Look at every batch and every record; each a line of JSON."""
    chain = Chain(asked.key, asked.organization, asked.head)
    chain.take(batches)
    because = "it was hidden, or something else put over it; the export has it as it was signed"
    chain.findings += [(one, batch_finding(one, CHANGED, because)) for one in asked.disturbed]
    work = _Records(chain, asked)
    for line in records:
        work.take(line)
    work.missing()
    report = work.report
    report.organization = chain.organization
    report.batches = chain.span
    _front(chain, asked, report)
    _not_yet(chain, asked)
    # Sorting is stable: what was found first about a batch or a moment stays first.
    about_batches = [finding for _, finding in sorted(chain.findings, key=lambda one: one[0])]
    about_records = [finding for _, finding in sorted(work.findings, key=lambda one: one[0])]
    report.findings = about_batches + about_records
    return report


def _first_unknown(first: Header | None, asked: Asked) -> int | None:
    """The batch before the first one of an export that begins too late."""
    if first is None or first.number == 1 or asked.partial:
        return None
    begins = 0 if asked.since is None else asked.since - _SKEW_MS
    return first.number - 1 if milliseconds(first.sealed_at) >= begins else None


def _front(chain: Chain, asked: Asked, report: Report) -> None:
    """Tell of batches that were cut off at the front, where they cannot be gone by themselves.

    An export of a range has the batch before those of the range, so that this can be known.
    """
    first = chain.first
    missing = _first_unknown(first, asked)
    if first is None or missing is None:
        return
    kept = milliseconds(first.retain_until) - milliseconds(first.last)
    if asked.since is not None and asked.now < asked.since + kept:
        because = "the export begins after it, and its range begins before"
        chain.findings.append((missing, batch_finding(missing, REMOVED, because)))
    else:
        report.first_unknown = missing


def _not_yet(chain: Chain, asked: Asked) -> None:
    if chain.sealed_at is not None and chain.sealed_at > asked.now + _CLOCKS_MS and chain.span:
        because = "it was sealed after the export was made"
        chain.findings.append((chain.span[1], batch_finding(chain.span[1], INSERTED, because)))


class _Records:
    def __init__(self, chain: Chain, asked: Asked) -> None:
        self._chain = chain
        self._asked = asked
        self._times: tuple[int, int] | None = None
        self._last = 0
        self._loose: set[str] = set()
        # What is newer than this may wait for its batch.
        self._settled = _settled(chain.sealed_at, asked)
        self._expired = _expired(chain.first, asked.now)
        self.findings: list[tuple[int, Finding]] = []
        self.report = Report()

    def take(self, line: str) -> None:
        """Look at one record."""
        form, name, at = _read(line)
        sealed = self._chain.records.get(name)
        if sealed is None:
            self._unsealed(name, at)
        elif form is None or form_hash(form).hex() != sealed.hash:
            because = "its hash is not the one that was sealed"
            self._note(sealed.at, name, CHANGED, because)
            sealed.found = True  # there, and told of
        elif sealed.found:
            self._note(sealed.at, name, INSERTED, "it is there twice")
        else:
            sealed.found = True
            self._verified(name, sealed.at)

    def missing(self) -> None:
        """Look for what was sealed and is not in the export."""
        for name, sealed in self._chain.records.items():
            if sealed.found or not self._asked.covers(sealed.at):
                continue
            if self._asked.now >= sealed.retained_until:
                self.report.retired += 1
            else:
                because = f"it was sealed, and kept until {rfc3339(sealed.retained_until)}"
                self._note(sealed.at, name, REMOVED, because)

    def _note(self, at: int, name: str, problem: str, because: str) -> None:
        self.findings.append((at, record_finding(name, problem, because)))

    def _verified(self, name: str, at: int) -> None:
        if strange := self._asked.strange(at):
            self._note(at, name, INSERTED, strange)
        if at < self._last:
            self._note(at, name, SWAPPED, "it stands after a later one")
        self._last = max(self._last, at)
        self.report.verified += 1
        low, high = self._times or (at, at)
        self._times = min(low, at), max(high, at)
        self.report.span = rfc3339(self._times[0]), rfc3339(self._times[1])

    def _unsealed(self, name: str, at: int | None) -> None:
        first = self._chain.first
        if name in self._chain.untrusted:
            return  # told of with its batch
        twice = name in self._loose
        self._loose.add(name)
        if at is None:
            self._note(0, name, INSERTED, "it is no audit record")
        elif twice:
            self._note(at, name, INSERTED, "it is there twice")
        elif strange := self._asked.strange(at):
            self._note(at, name, INSERTED, strange)
        elif at > self._settled:
            self.report.waiting += 1
        elif first is not None and first.number == 1 and at < milliseconds(first.first):
            self.report.older += 1
        elif first is not None and first.number > 1 and at < self._expired:
            self.report.retired += 1
        else:
            self._note(at, name, INSERTED, "no batch seals it")


def _settled(newest: int | None, asked: Asked) -> int:
    """The time before which every record must be sealed.

    A stream brings a record within a day or never: so an end that was cut off does not make all
    that came after it look new.
    """
    until = asked.now if asked.until is None else min(asked.now, asked.until)
    latest = until - _LATE_MS
    return max(latest, (asked.now if newest is None else newest) - asked.grace)


def _expired(first: Header | None, now: int) -> int:
    """The time before which a record may outlive the batch that sealed it."""
    if first is None:
        return 0
    kept = milliseconds(first.retain_until) - milliseconds(first.last)
    return min(milliseconds(first.first), now - kept)


def _read(line: str) -> tuple[Any, str, int | None]:
    """A line's form, identifier and time; what cannot be read has no form and no time.

    A form has one spelling: a line of another one (a member twice) may show each reader another
    record.
    """
    try:
        form = json.loads(line)
        name = form["id"] + ""  # a text, or no identifier
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, "(a line that cannot be read)", None
    try:
        at = milliseconds(form["time"])
    except (ValueError, KeyError, TypeError, OverflowError):
        at = None
    try:
        spelled = canonical(form) == line.strip().encode("ascii")
    except (ValueError, TypeError, RecursionError):
        spelled = False
    return form if spelled else None, name, at
