"""The chain's head is a row that others may write, too: the sealer goes by what the key signed."""

import hashlib
from typing import Any

import boto3
import pytest

from chalicelib import runtime
from chalicelib.store import seals
from chalicelib.store.organizations import OrganizationItem
from tests.functional.sealed import Evidence, deliver, read
from tests.functional.streams import Queue, Stream


def mark_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:8]


@pytest.fixture
def made(evidence: Evidence, trail: Stream, stack: dict[str, str]) -> list[str]:
    """Records in three batches."""
    names: list[str] = []
    for _ in range(3):
        names += evidence.append(1)
        deliver(read(trail, stack))
    return names


def row_of(evidence: Evidence) -> OrganizationItem:
    return OrganizationItem.get(evidence.organization, "seal", consistent_read=True)


@pytest.mark.parametrize("what", ["digest", "forward", "back"])
def test_a_head_that_was_changed_is_told_of_and_the_chain_goes_on_after_the_signed_batch(
    evidence: Evidence, made: list[str], trail: Stream, stack: dict[str, str], letters: Queue,
    what: str,
) -> None:  # fmt: skip
    row = row_of(evidence)
    item: Any = OrganizationItem
    row.update(
        {
            "digest": [item.digest.set(b"x" * 32)],
            "forward": [item.sealed.set(987_654_321)],
            "back": [item.sealed.set(2)],
        }[what]
    )
    later = evidence.append(2)
    deliver(read(trail, stack))
    assert evidence.sealed_ids() == [*made, *later]
    head = seals.head(evidence.organization)
    assert head is not None
    assert (head.number, head.digest) == (4, evidence.batch(4).header.digest())
    assert "tampered" in letters.read()[0]["error"]
    (told,) = read(trail, stack)
    assert told["dynamodb"]["NewImage"]["event"] == {"S": "audit.tampered"}


def test_a_mark_of_a_record_that_no_batch_holds_keeps_none_from_being_sealed(
    evidence: Evidence, made: list[str], trail: Stream, stack: dict[str, str], letters: Queue
) -> None:
    (name,) = evidence.append(1)
    row = row_of(evidence)
    marks = bytes(row.recently_sealed or b"") + mark_of(name)
    row.update([OrganizationItem.recently_sealed.set(marks)])
    deliver(read(trail, stack))
    assert evidence.sealed_ids() == [*made, name]
    assert "tampered" in letters.read()[0]["error"]


def test_marks_of_batches_before_the_last_are_looked_up_and_nobody_is_told(
    evidence: Evidence, trail: Stream, stack: dict[str, str], letters: Queue
) -> None:
    names = evidence.append(1)
    first = read(trail, stack)
    deliver(first)
    for _ in range(3):
        names += evidence.append(1)
        deliver(read(trail, stack))
    deliver(first)
    assert evidence.sealed_ids() == names
    assert letters.read() == []


def test_a_chain_whose_batches_are_all_gone_goes_on_after_its_head(
    evidence: Evidence, made: list[str], trail: Stream, stack: dict[str, str], letters: Queue
) -> None:
    assert made
    evidence.hide(*evidence.numbers())
    evidence.append(1)
    deliver(read(trail, stack))
    assert evidence.numbers() == [4]
    assert letters.read() == []


@pytest.mark.parametrize("numbers", [[], [1], [1, 2, 3], [5, 6, 7, 8, 9], [1, 40], [990, 100_000]])
def test_the_last_batch_is_found_wherever_the_first_is(
    evidence: Evidence, numbers: list[int]
) -> None:
    bucket = runtime.current().evidence_bucket
    for number in numbers:
        evidence.put(number, b"{}")
    below = [bucket.last(evidence.organization, below=number) for number in numbers]
    assert bucket.last(evidence.organization) == (numbers[-1] if numbers else None)
    assert below == [None, *numbers][: len(numbers)]
    boto3.client("s3").put_object(
        Bucket=evidence.bucket, Key=f"batches/{evidence.organization}/zzz", Body=b"",
        ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    assert bucket.last(evidence.organization) == (numbers[-1] if numbers else None)
