import io
import json
import zipfile
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.errors import DeployError
from infra.stream_mappings import (
    EVENTS,
    OLDEST_SECONDS,
    keep_failed_batches,
    let_jobs_drive_themselves,
    look,
)
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:rollcall-prod-dead-letters"
STREAMS = ("AuditRecordsStreamArn", "JobsStreamArn")
OUTPUTS = {
    "DeadLetterQueueArn": QUEUE,
    **{
        name: f"arn:aws:dynamodb:eu-central-1:123456789012:table/x/stream/{name}"
        for name in STREAMS
    },
}
STREAM_KEEPS_SECONDS = 24 * 3600


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


def stream(target: Target, table: str) -> str:
    """The stream of a new table."""
    made = target.client("dynamodb").create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )  # fmt: skip
    return str(made["TableDescription"]["LatestStreamArn"])


def connect(target: Target, function: str, arn: str) -> str:
    """A function on a stream as Chalice makes it: the mapping's id."""
    role = target.client("iam").create_role(RoleName=function, AssumeRolePolicyDocument="{}")
    archive = io.BytesIO()
    zipfile.ZipFile(archive, "w").close()
    client = target.client("lambda")
    made = client.create_function(
        FunctionName=f"rollcall-prod-{function}", Runtime="python3.11", Handler="app.f",
        Role=role["Role"]["Arn"], Code={"ZipFile": archive.getvalue()},
    )  # fmt: skip
    mapping = client.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=made["FunctionArn"], BatchSize=100,
        StartingPosition="TRIM_HORIZON",
    )  # fmt: skip
    return str(mapping["UUID"])


def test_a_batch_that_fails_for_long_is_given_up_and_the_queue_is_told(target: Target) -> None:
    outputs = {**OUTPUTS, **{name: stream(target, name) for name in STREAMS}}
    made = {
        function: connect(target, function, outputs[STREAMS[function == "run_jobs"]])
        for function in OLDEST_SECONDS
    }
    for _ in range(2):
        keep_failed_batches(target, outputs)
    for function, mapping in made.items():
        found = target.client("lambda").get_event_source_mapping(UUID=mapping)
        assert found["BisectBatchOnFunctionError"] is True
        assert found["MaximumRetryAttempts"] == -1, "an outage is waited out by time, not by tries"
        assert found["MaximumRecordAgeInSeconds"] == OLDEST_SECONDS[function]
        assert found["DestinationConfig"] == {"OnFailure": {"Destination": QUEUE}}
        assert found["BatchSize"] == 100
        kept = found.get("FilterCriteria", {}).get("Filters", [])
        names = [json.loads(one["Pattern"])["eventName"] for one in kept]
        assert names == [list(EVENTS[function])] if function in EVENTS else names == []


def test_a_batch_is_given_up_before_the_stream_forgets_it() -> None:
    assert all(seconds < STREAM_KEEPS_SECONDS for seconds in OLDEST_SECONDS.values())


def test_a_function_without_its_stream_is_told(target: Target) -> None:
    arn = stream(target, "audit")
    for function in ("publish_events", "seal_evidence"):
        connect(target, function, arn)
    with pytest.raises(DeployError, match="run_jobs is not connected"):
        keep_failed_batches(target, {**OUTPUTS, STREAMS[0]: arn})


class Lambda:
    """Refuses some updates."""

    class InvalidParameterValueException(ClientError):
        pass

    class ResourceConflictException(ClientError):
        pass

    class ResourceInUseException(ClientError):
        pass

    def __init__(self, refusals: int, present: dict[str, Any] | None = None) -> None:
        self.refusals = refusals
        self.each = [present or {}] * len(OLDEST_SECONDS)
        self.exceptions = self
        self.updated: list[dict[str, Any]] = []

    def list_event_source_mappings(self, **_: object) -> dict[str, Any]:
        arn = "arn:aws:lambda:eu-central-1:123456789012:function:rollcall-prod"
        return {
            "EventSourceMappings": [
                {**present, "UUID": "u", "FunctionArn": f"{arn}-{function}"}
                for function, present in zip(OLDEST_SECONDS, self.each, strict=True)
            ]
        }

    def update_event_source_mapping(self, **wanted: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.ResourceInUseException(
                {"Error": {"Code": "ResourceInUseException", "Message": "it is being created"}},
                "UpdateEventSourceMapping",
            )
        self.updated.append(wanted)

    def put_function_recursion_config(self, **wanted: Any) -> None:
        self.update_event_source_mapping(**wanted)


class Fixed(Target):
    """A target with one client."""

    def __init__(self, fake: Lambda) -> None:
        super().__init__("prod", ENVIRON)
        object.__setattr__(self, "fake", fake)

    fake: Lambda

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.fake


def test_a_mapping_that_is_being_made_is_waited_for() -> None:
    slept: list[float] = []
    fake = Lambda(refusals=3)
    keep_failed_batches(Fixed(fake), OUTPUTS, sleep=slept.append)
    assert len(slept) == 3
    assert len(fake.updated) == len(OLDEST_SECONDS)


def test_a_refusal_that_lasts_is_explained_after_a_bounded_time() -> None:
    slept: list[float] = []
    with pytest.raises(DeployError, match=r"dropped.*being created"):
        keep_failed_batches(Fixed(Lambda(refusals=1000)), OUTPUTS, sleep=slept.append)
    assert sum(slept) <= 60


def test_a_mapping_that_is_as_it_should_be_is_not_touched() -> None:
    first = Lambda(refusals=0)
    keep_failed_batches(Fixed(first), OUTPUTS)
    second = Lambda(refusals=0)
    second.each = [{**json.loads(json.dumps(one)), "BatchSize": 100} for one in first.updated]
    keep_failed_batches(Fixed(second), OUTPUTS)
    assert second.updated == []
    second.each[0]["FilterCriteria"] = {}
    keep_failed_batches(Fixed(second), OUTPUTS)
    assert len(second.updated) == 1


def warnings(present: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    look(Fixed(Lambda(refusals=0, present=present)), OUTPUTS, say=lines.append)
    return lines


@pytest.mark.parametrize(
    "present",
    [
        {"State": "Disabled", "StateTransitionReason": "User initiated"}, {"State": "Disabling"},
        {"State": "Deleting"}, {},
        {"State": "Enabled", "LastProcessingResult": "PROBLEM: Function call failed"},
        {"State": "Enabled", "LastProcessingResult": "PROBLEM: Lambda is not authorized"},
    ],
)  # fmt: skip
def test_a_stream_that_reaches_no_function_is_warned_of(present: dict[str, Any]) -> None:
    lines = warnings(present)
    assert len(lines) == len(OLDEST_SECONDS)
    for value in present.values():
        assert value == "Enabled" or all(value in line for line in lines)


@pytest.mark.parametrize(
    "present",
    [{"State": "Enabled", "LastProcessingResult": "OK"}, {"State": "Enabled"},
     {"State": "Enabled", "LastProcessingResult": "No records processed"},
     {"State": "Creating"}, {"State": "Updating", "LastProcessingResult": None}],
)  # fmt: skip
def test_a_stream_that_works_is_not(present: dict[str, Any]) -> None:
    assert warnings(present) == []


def test_only_the_sealer_is_started_by_rows_that_ttl_removes() -> None:
    assert [name for name in OLDEST_SECONDS if "REMOVE" in EVENTS.get(name, ("REMOVE",))] == [
        "seal_evidence"
    ]


def test_lambda_is_told_that_jobs_start_themselves_also_while_it_is_busy() -> None:
    fake, slept = Lambda(refusals=2), list[float]()
    let_jobs_drive_themselves(Fixed(fake), sleep=slept.append)
    assert fake.updated == [{"FunctionName": "rollcall-prod-run_jobs", "RecursiveLoop": "Allow"}]
    assert len(slept) == 2
    with pytest.raises(DeployError, match=r"broken off.*being created"):
        let_jobs_drive_themselves(Fixed(Lambda(refusals=1000)), sleep=slept.append)
