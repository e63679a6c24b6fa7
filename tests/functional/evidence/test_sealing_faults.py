"""Sealing while KMS, S3 or the clock is against it, and against what somebody else put there."""

from typing import Any

import boto3
import msgspec
import pytest

from chalicelib import ids, sealing
from chalicelib.flows.seal import NotSealedError
from chalicelib.store import seals
from chalicelib.store.evidence_bucket import batch_key
from tests.functional import service_faults
from tests.functional.deliveries import Mapping
from tests.functional.sealed import Evidence, deliver, kms_client, read, s3_client
from tests.functional.service_faults import Trouble, troubled
from tests.functional.streams import Queue, Stream

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("service", "operation"), [("kms", "Sign"), ("s3", "PutObject")], ids=lambda value: value
)
@pytest.mark.parametrize(
    "trouble", [service_faults.REFUSED, service_faults.SERVER_ERROR, service_faults.DENIED], ids=str
)
def test_an_outage_makes_the_stream_repeat_and_loses_nothing(
    evidence: Evidence,
    trail: Stream,
    stack: dict[str, str],
    letters: Queue,
    service: str,
    operation: str,
    trouble: Trouble,
) -> None:
    made = evidence.append(4)
    client = kms_client() if service == "kms" else s3_client()
    mapping = Mapping("seal_evidence", size=1000)
    poison = {"eventName": "INSERT", "dynamodb": {}}
    with troubled(client, operation, trouble, times=5) as met:
        mapping.deliver([*read(trail, stack), poison])
    assert met.struck == 5
    assert mapping.failures
    assert all(isinstance(error, NotSealedError) for error in mapping.failures)
    assert evidence.sealed_ids() == made
    assert len(letters.read()) == 1, "an outage repeats no letters"


def test_one_organizations_trouble_does_not_hold_up_the_others(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    other = Evidence(stack, evidence.now)
    evidence.append(1)
    theirs = other.append(1)
    with (
        troubled(s3_client(), "PutObject", service_faults.SERVER_ERROR, times=2),
        pytest.raises(NotSealedError),
    ):
        deliver(read(trail, stack))
    assert evidence.numbers() == []
    assert other.sealed_ids() == theirs


def test_time_that_runs_out_is_no_loss(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    class Late:
        aws_request_id = "r"

        def get_remaining_time_in_millis(self) -> int:
            return 1_000

    made = evidence.append(1)
    records = read(trail, stack)
    with pytest.raises(NotSealedError):
        sealing.seal(records, Late())
    sealing.seal(records, None)
    assert evidence.sealed_ids() == made


def changed(record: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    image = {**record["dynamodb"]["NewImage"], **attributes}
    return {**record, "dynamodb": {**record["dynamodb"], "NewImage": image}}


def test_what_is_no_record_of_ours_is_put_aside_and_never_sealed(
    evidence: Evidence, trail: Stream, stack: dict[str, str], letters: Queue
) -> None:
    made = evidence.append(1)
    (record,) = read(trail, stack)
    other = ids.new(ids.ORGANIZATION)
    long_ago = evidence.now - 3 * DAY_MS
    name = record["dynamodb"]["NewImage"]["id"]["S"]
    bad: list[dict[str, Any]] = [
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": {}},
        changed(record, at={"S": "yesterday"}),
        changed(record, organization={"S": other}),
        changed(record, id={"S": "agt_1"}),
        changed(record, sort={"S": "0"}),
        changed(record, at={"N": str(long_ago)}, sort={"S": f"{long_ago:015d}#{name}"}),
        changed(record, at={"N": str(evidence.now - 1)}),
    ]
    deliver([*bad, record])
    assert evidence.sealed_ids() == made
    found = letters.read()
    assert len(found) == len(bad)
    assert all(letter["error"] for letter in found)
    assert not evidence.s3.list_objects_v2(Bucket=evidence.bucket, Prefix=f"batches/{other}/").get(
        "Contents"
    )


@pytest.mark.parametrize("body", [b"junk", {"header": {}}, None])
def test_a_batch_that_the_key_has_not_signed_is_told_of_and_put_behind_ours(
    evidence: Evidence, trail: Stream, stack: dict[str, str], letters: Queue, body: Any
) -> None:
    first = evidence.append(1)
    deliver(read(trail, stack))
    if body is None:  # well made, and of another key
        forged = msgspec.to_builtins(evidence.batch(1))
        forged["header"]["number"] = 2
        forged["header"]["previous"] = evidence.batch(1).header.digest().hex()
        body = forged
    evidence.put(2, body)
    second = evidence.append(1)
    deliver(read(trail, stack))
    assert evidence.sealed_ids() == [*first, *second]
    assert "tampered" in letters.read()[0]["error"]
    (told,) = read(trail, stack)
    assert told["dynamodb"]["NewImage"]["event"] == {"S": "audit.tampered"}
    versions = evidence.s3.list_object_versions(
        Bucket=evidence.bucket, Prefix=batch_key(evidence.organization, 2)
    )["Versions"]
    assert len(versions) == 2, "the forged one stays, as an older version"


def test_a_head_that_was_set_back_finds_its_way_along_the_signed_batches(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    made = []
    for _ in range(3):
        made += evidence.append(1)
        deliver(read(trail, stack))
    boto3.client("dynamodb").delete_item(
        TableName=f"{stack['TablePrefix']}organizations",
        Key={"organization": {"S": evidence.organization}, "item": {"S": "seal"}},
    )
    made += evidence.append(1)
    deliver(read(trail, stack))
    assert evidence.sealed_ids() == made
    head = seals.head(evidence.organization)
    assert head is not None
    assert head.number == 4
