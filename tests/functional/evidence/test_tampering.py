"""Whoever changes or removes evidence behind Rollcall's back is noticed, once, and in evidence."""

import json
from typing import Any

import boto3
import msgspec
import pytest
from jsonschema import Draft202012Validator

from chalicelib import telemetry
from chalicelib.evidence import envelope
from chalicelib.evidence.publisher import envelope_of
from chalicelib.store import audit_records
from infra import template
from tests.functional import sealed
from tests.functional.clock import FrozenClock
from tests.functional.laws.log_lines import captured
from tests.functional.sealed import Evidence, deliver
from tests.functional.streams import Queue, Stream

EXPIRY = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def read(trail: Stream, stack: dict[str, str], clock: int = FrozenClock().now) -> list[Any]:
    """The stream's records as Lambda delivers them, at the time of the test's clock."""
    records = sealed.read(trail, stack)
    for record in records:
        record["dynamodb"]["ApproximateCreationDateTime"] = clock // 1000
    return records


def rows() -> list[Any]:
    return list(audit_records.AuditRecordItem.scan(consistent_read=True))


def told() -> list[Any]:
    return [row for row in rows() if row.event == "audit.tampered"]


def change(row: Any, **attributes: str) -> None:
    """What somebody with rights to the table can do."""
    for name, value in attributes.items():
        boto3.client("dynamodb").update_item(
            TableName=audit_records.AuditRecordItem.Meta.table_name,
            Key={"pk": {"S": row.pk}, "sort": {"S": row.sort}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": value}},
        )


def remove(row: Any) -> None:
    boto3.client("dynamodb").delete_item(
        TableName=audit_records.AuditRecordItem.Meta.table_name,
        Key={"pk": {"S": row.pk}, "sort": {"S": row.sort}},
    )


def metrics(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


@pytest.mark.parametrize(
    ("act", "said"),
    [(lambda row: change(row, actor_id="agt_innocent"), "modified"), (remove, "removed")],
    ids=["modified", "removed"],
)
def test_a_row_that_was_touched_is_told_of_once_in_every_way(
    evidence: Evidence,
    trail: Stream,
    stack: dict[str, str],
    letters: Queue,
    capsys: pytest.CaptureFixture[str],
    act: Any,
    said: str,
) -> None:
    (name,) = evidence.append(1)
    deliver(read(trail, stack))
    act(rows()[0])
    touched = read(trail, stack)
    capsys.readouterr()
    with captured() as log:
        for _ in range(3):  # as the stream repeats itself
            deliver(touched)
    (row,) = told()
    assert (row.organization, row.resource_type, row.resource_id) == (
        evidence.organization, "audit_record", name,
    )  # fmt: skip
    assert row.detail == {"target": "audit_record", "target_id": name, "change": said}
    (letter,) = letters.read()
    assert letter["error"] == "evidence tampered"
    assert [line for line in metrics(capsys.readouterr().out) if line.get("EvidenceTampered")]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {"ERROR"} == {one["level"] for one in lines if one["message"] == "evidence tampered"}
    # The record of it is evidence like any other: an event, and sealed.
    deliver(read(trail, stack))
    assert evidence.sealed_ids() == [name, row.id]
    schema = envelope.schemas()["audit.tampered"]
    Draft202012Validator(schema).validate(json.loads(msgspec.json.encode(envelope_of(row))))


def test_two_changes_of_one_row_are_two_records(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    evidence.append(1)
    change(rows()[0], actor_id="a", request_id="b")
    deliver(read(trail, stack))
    assert len(told()) == 2


def test_a_row_whose_time_is_over_is_not_tampering(
    evidence: Evidence, trail: Stream, stack: dict[str, str], letters: Queue
) -> None:
    evidence.append(1)
    remove(rows()[0])
    (made, gone) = read(trail, stack)
    deliver([made, {**gone, "userIdentity": EXPIRY}])
    assert (told(), letters.read()) == ([], [])


@pytest.mark.parametrize(
    "identity",
    [
        {"type": "Service", "principalId": "lambda.amazonaws.com"},
        {"type": "User", "principalId": "dynamodb.amazonaws.com"},
        {},
        None,
    ],
)
def test_only_dynamodb_itself_may_end_a_rows_time(
    evidence: Evidence, trail: Stream, stack: dict[str, str], identity: Any
) -> None:
    evidence.append(1)
    remove(rows()[0])
    (_, gone) = read(trail, stack)
    deliver([{**gone, "userIdentity": identity}])
    assert len(told()) == 1


def test_a_time_that_was_moved_forward_is_tampering(
    evidence: Evidence, trail: Stream, stack: dict[str, str]
) -> None:
    evidence.append(1)
    (row,) = rows()
    boto3.client("dynamodb").update_item(
        TableName=audit_records.AuditRecordItem.Meta.table_name,
        Key={"pk": {"S": row.pk}, "sort": {"S": row.sort}},
        UpdateExpression="SET #ttl = :now",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues={":now": {"N": "1"}},
    )
    deliver(read(trail, stack))
    assert [row.detail["change"] for row in told()] == ["modified"]


@pytest.mark.parametrize(
    "broken",
    [
        {"eventName": "MODIFY"},
        {"eventName": "REMOVE", "eventID": "1", "dynamodb": {}},
        {
            "eventName": "REMOVE",
            "eventID": "1",
            "dynamodb": {
                "Keys": {"pk": {"S": "garbage"}, "sort": {"S": "0"}},
                "ApproximateCreationDateTime": 1_780_000_000,
            },
        },
    ],
)
def test_what_names_no_tenant_is_a_letter_and_a_metric_and_blocks_nothing(
    evidence: Evidence,
    trail: Stream,
    stack: dict[str, str],
    letters: Queue,
    capsys: pytest.CaptureFixture[str],
    broken: dict[str, Any],
) -> None:
    made = evidence.append(1)
    deliver([broken, *read(trail, stack)])
    assert evidence.sealed_ids() == made
    (letter,) = letters.read()
    assert letter["error"].startswith("evidence tampered")
    assert any("EvidenceTampered" in line for line in metrics(capsys.readouterr().out))
    assert told() == []


def test_the_alarm_looks_at_the_metric_that_is_emitted(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.count("EvidenceTampered", stage="functional")
    (emitted,) = metrics(capsys.readouterr().out)
    alarm = template.load()["Resources"]["EvidenceTamperedAlarm"]["Properties"]
    (directive,) = emitted["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == alarm["Namespace"]
    assert [metric["Name"] for metric in directive["Metrics"]] == [alarm["MetricName"]]
    watched = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
    # An alarm matches one set of dimensions, whole and by value.
    assert [set(names) for names in directive["Dimensions"]] == [set(watched)]
    assert watched == {"service": emitted["service"], "stage": {"Ref": "Stage"}}
    assert emitted["stage"] == "functional"
