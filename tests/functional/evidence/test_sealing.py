"""The audit trail's stream into the chain of sealed batches, whatever happens on the way."""

import datetime
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib import sealing
from chalicelib.evidence import merkle
from chalicelib.evidence.record_form import export_line
from chalicelib.flows.seal import NotSealedError
from chalicelib.store import audit_records, seals
from chalicelib.store.connection import connection
from chalicelib.store.evidence_bucket import batch_key
from tests.functional.deliveries import Mapping, disturbed
from tests.functional.laws.faults import DROPPED, LOST, injected
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.sealed import Evidence, deliver, kms_client, read, s3_client
from tests.functional.streams import Stream

DAY_MS = 86_400_000


def test_records_are_sealed_in_the_order_in_which_they_arrive_and_anyone_can_hash_them_again(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    first = evidence.append(5)
    deliver(read(trail, stack))
    second = evidence.append(3, at=evidence.now + 60_000)
    deliver(read(trail, stack))
    batches = evidence.chain()
    assert [[leaf.id for leaf in batch.leaves] for batch in batches] == [first, second]
    leaf = batches[0].leaves[2]
    row = next(
        row for row in audit_records.AuditRecordItem.scan(consistent_read=True) if row.id == leaf.id
    )
    assert merkle.leaf_hash(export_line(row).encode()).hex() == leaf.hash
    head = seals.head(evidence.organization)
    assert head is not None
    assert (head.number, head.digest) == (2, batches[1].header.digest())


def test_a_batch_is_locked_for_as_long_as_it_promises_its_records(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    evidence.append(2)
    deliver(read(trail, stack))
    promised = evidence.batch(1).header.retain_until
    newest = evidence.now + 1
    expected = datetime.datetime.fromtimestamp(newest / 1000, tz=datetime.UTC)
    assert datetime.datetime.fromisoformat(promised) == (
        expected + datetime.timedelta(days=400)
    ).replace(microsecond=1000 * (newest % 1000))
    (row, _) = audit_records.AuditRecordItem.scan(consistent_read=True)
    # DynamoDB keeps the row for longer, so what is missing before was removed.
    assert row.ttl > datetime.datetime.fromisoformat(promised) + datetime.timedelta(days=1)
    head = evidence.s3.head_object(Bucket=evidence.bucket, Key=batch_key(evidence.organization, 1))
    assert head["ObjectLockMode"] == "GOVERNANCE"
    locked = head["ObjectLockRetainUntilDate"]
    # As long as its rows live, and a day: without their batch they would look inserted.
    kept = datetime.datetime.fromisoformat(promised) + datetime.timedelta(days=3)
    assert abs(locked - kept) < datetime.timedelta(seconds=2)
    assert locked > row.ttl


def test_a_version_that_is_locked_cannot_be_removed(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    evidence.append(1)
    deliver(read(trail, stack))
    key = batch_key(evidence.organization, 1)
    version = evidence.s3.head_object(Bucket=evidence.bucket, Key=key)["VersionId"]
    with pytest.raises(evidence.s3.exceptions.ClientError, match="AccessDenied"):
        evidence.s3.delete_object(Bucket=evidence.bucket, Key=key, VersionId=version)


@pytest.mark.parametrize("seed", range(4))
def test_a_record_is_sealed_once_however_the_stream_delivers_it(
    evidence: Evidence, trail: Stream, stack: dict[str, str], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing here is a secret
    made = evidence.append(40)
    mapping = Mapping("seal_evidence", size=chance.choice((1, 7, 1000)))
    mapping.deliver(disturbed(read(trail, stack), [], chance))
    assert mapping.failures == []
    assert sorted(evidence.sealed_ids()) == sorted(made)


@pytest.mark.parametrize("fault", [DROPPED, LOST], ids=str)
def test_a_sealer_that_dies_between_batch_and_head_leaves_a_batch_that_the_next_takes_up(
    evidence: Evidence, trail: Stream, stack: dict[str, str], fault: Any
) -> None:
    made = evidence.append(3)
    records = read(trail, stack)
    with injected(fault, on="PutItem", times=10_000), pytest.raises(NotSealedError):
        deliver(records)
    assert evidence.numbers() == [1]
    later = evidence.append(2)
    deliver(read(trail, stack))
    deliver(records)  # the stream repeats what failed, perhaps after what came later
    assert evidence.sealed_ids() == [*made, *later]


def test_sealers_at_once_make_one_chain_without_a_gap(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    made = [evidence.append(2, at=evidence.now + 10 * shard) for shard in range(6)]
    records = read(trail, stack)
    shards = [records[at : at + 2] for at in range(0, 12, 2)]
    start = threading.Barrier(len(shards))
    failed: list[Exception] = []

    def work(shard: list[dict[str, Any]]) -> None:
        start.wait(10)
        for _ in range(20):  # as the stream repeats a batch
            try:
                sealing.seal(shard, None)
            except NotSealedError as error:
                failed.append(error)
            else:
                return
        raise AssertionError(failed)

    with one_at_a_time():
        threads = [threading.Thread(target=work, args=(shard,)) for shard in shards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(evidence.sealed_ids()) == sorted(one for pair in made for one in pair)


@contextmanager
def just_before(client: Any, operation: str, other: Callable[[], Any]) -> Iterator[list[str]]:
    """Let something else happen once, right before a request is sent."""
    happened: list[str] = []

    def happen(event_name: str, **_: Any) -> None:
        if not happened:
            happened.append(event_name)
            other()

    service = client.meta.service_model.service_id.hyphenize()
    name = f"before-send.{service}.{operation}"
    client.meta.events.register_first(name, happen)
    try:
        yield happened
    finally:
        client.meta.events.unregister(name, happen)


@pytest.mark.parametrize("operation", ["PutObject", "PutItem"])
@pytest.mark.parametrize("before", [0, 1])
def test_a_sealer_that_is_overtaken_goes_on_after_the_other(
    evidence: Evidence, trail: Stream, stack: dict[str, str], operation: str, before: int
) -> None:
    made = evidence.append(before)
    deliver(read(trail, stack))
    made += evidence.append(2)
    mine = read(trail, stack)
    made += evidence.append(2)
    theirs = read(trail, stack)
    client = s3_client() if operation == "PutObject" else connection().client
    with just_before(client, operation, lambda: sealing.seal(theirs, None)) as happened:
        deliver(mine)
    assert happened
    assert sorted(evidence.sealed_ids()) == sorted(made)


@pytest.mark.parametrize(
    ("before", "looks"), [(0, "ListObjectsV2"), (1, "GetObject")], ids=["first", "later"]
)
def test_sealing_takes_five_requests_a_batch(
    evidence: Evidence, trail: Stream, stack: dict[str, str], before: int, looks: str
) -> None:
    asked: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        asked.append(event_name.rsplit(".", 1)[1])

    evidence.append(before)
    deliver(read(trail, stack))
    evidence.append(30)
    records = read(trail, stack)
    for client in (connection().client, s3_client(), kms_client()):
        client.meta.events.register_first("before-send", note)
    try:
        deliver(records)
    finally:
        for client in (connection().client, s3_client(), kms_client()):
            client.meta.events.unregister("before-send", note)
    assert asked == ["GetItem", looks, "Sign", "PutObject", "PutItem"]


def test_a_head_moves_only_from_where_it_was_read(evidence: Evidence) -> None:
    def at(number: int) -> seals.Head:
        return seals.Head(number, bytes(32), b"")

    organization, now = evidence.organization, evidence.now
    assert seals.advance(organization, None, at(1), now)
    assert not seals.advance(organization, None, at(1), now)
    assert seals.advance(organization, at(1), at(2), now)
    assert not seals.advance(organization, at(1), at(2), now)
    assert seals.head(organization) == at(2)
