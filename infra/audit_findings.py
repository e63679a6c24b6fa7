"""What a look at an export found: a finding for each record or batch that is not as it was."""

from __future__ import annotations

from dataclasses import dataclass, field

CHANGED = "changed"
REMOVED = "removed"
INSERTED = "inserted"
SWAPPED = "swapped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One record or batch, what was done to it, and how that is known."""

    kind: str
    name: str
    problem: str
    because: str

    def __str__(self) -> str:
        # Whoever wrote a name may have meant it for a terminal, or for whoever reads the lines.
        return _plain(f"{self.kind} {self.name} was {self.problem}: {self.because}")


def _plain(text: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else ascii(one)[1:-1] for one in text)


def batch_finding(number: int, problem: str, because: str) -> Finding:
    """A finding about a batch."""
    return Finding("batch", str(number), problem, because)


def record_finding(name: str, problem: str, because: str) -> Finding:
    """A finding about a record."""
    return Finding("record", name, problem, because)


@dataclass(slots=True)
class Report:
    """What was verified, and what was found.

    Args:
        organization: whose evidence it is.
        batches: numbers of the first and the last batch, or None.
        span: times of the oldest and the newest verified record, or None.
        verified: records that are in a batch as they are in the export.
        retired: records that are missing and whose time was over, and those that are there and
            whose batch's time was over.
        waiting: records that are too new to be in a batch.
        older: records from before the first batch of all.
        first_unknown: the batch before the first, where it may seal records of the range and its
            time may be over.
        findings: first those about batches, by number, then those about records, by time.
    """

    organization: str | None = None
    batches: tuple[int, int] | None = None
    span: tuple[str, str] | None = None
    verified: int = 0
    retired: int = 0
    waiting: int = 0
    older: int = 0
    first_unknown: int | None = None
    findings: list[Finding] = field(default_factory=list)
