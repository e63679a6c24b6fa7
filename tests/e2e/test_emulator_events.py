"""S3 notifications, DynamoDB streams, schedules and asynchronous invocations of deployed code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.emulator.cloud import EmulatedCloud
from infra.emulator.functions import Function
from infra.engines import real_engines

APP = """
import json, os, pathlib, urllib.request
from chalice import Chalice, Rate

app = Chalice(app_name="events")

def say(kind, value):
    print(json.dumps({"kind": kind, "value": value}))

def first_time(name):
    marker = pathlib.Path(os.environ["TMPDIR"]) / name
    known = marker.exists()
    marker.touch()
    return not known

@app.on_s3_event(bucket="drop", events=["s3:ObjectCreated:*"], prefix="in/", suffix=".txt")
def arrived(event):
    # Calls back into the emulated cloud, from within the delivery of its own notification.
    urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/config", timeout=5).read()
    record = event.to_dict()["Records"][0]
    say("s3", [event.bucket, event.key, record["s3"]["object"]["size"], record["eventName"]])

@app.on_dynamodb_record(stream_arn=os.environ.get("STREAM_ARN", "arn:aws:dynamodb:x:1:table/t"),
                        batch_size=2, starting_position="TRIM_HORIZON")
def changed(event):
    records = event.to_dict()["Records"]
    if any("fail" in r["dynamodb"]["Keys"]["pk"]["S"] for r in records) and first_time("batch"):
        raise RuntimeError("once")
    say("stream", records)

@app.schedule("rate(1 hour)")
def hourly(event):
    say("schedule", event.to_dict())

@app.lambda_function()
def flaky(event, context):
    say("flaky", event)
    raise RuntimeError("always")
"""


@dataclass(frozen=True)
class Rig:
    """A cloud with the events app deployed in it."""

    cloud: EmulatedCloud

    def client(self, service: str) -> Any:
        return client_of(self.cloud, service)

    def function(self, name: str) -> Function:
        return self.cloud.functions[f"events-dev-{name}"]

    def said(self, name: str, kind: str) -> list[Any]:
        lines = [line for line in self.function(name).logs.splitlines() if line.startswith("{")]
        said = [json.loads(line) for line in lines]
        return [entry["value"] for entry in said if entry.get("kind") == kind]


def client_of(cloud: EmulatedCloud, service: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=cloud.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}", cloud.endpoint_url),
        region_name="eu-central-1",
        aws_access_key_id="emulated",
        aws_secret_access_key="emulated",
    )


@pytest.fixture(scope="module", params=["moto", "real engines"])
def rig(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Rig]:
    root = tmp_path_factory.mktemp("events")
    with ExitStack() as running:
        real = request.param == "real engines"
        engines = running.enter_context(real_engines(root)) if real else None
        cloud = running.enter_context(EmulatedCloud(root / "run", engines=engines))
        client_of(cloud, "s3").create_bucket(
            Bucket="drop", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        table = client_of(cloud, "dynamodb").create_table(
            TableName="changes",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        put(cloud, "before-the-mapping")
        stream = table["TableDescription"]["LatestStreamArn"]
        deploy(root / "app", cloud, stream)
        yield Rig(cloud)


def put(cloud: EmulatedCloud, key: str) -> None:
    item = {"pk": {"S": key}, "raw": {"B": b"\x00\x01"}, "n": {"N": "1"}}
    client_of(cloud, "dynamodb").put_item(TableName="changes", Item=item)


def deploy(project: Path, cloud: EmulatedCloud, stream_arn: str) -> None:
    (project / ".chalice").mkdir(parents=True)
    config = {
        "version": "2.0",
        "app_name": "events",
        "environment_variables": {"STREAM_ARN": stream_arn},
        "stages": {"dev": {"api_gateway_stage": "dev"}},
    }
    (project / ".chalice" / "config.json").write_text(json.dumps(config))
    (project / "requirements.txt").touch()
    (project / "app.py").write_text(APP)
    program = "import sys; from chalice.cli import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", program, "deploy", "--stage", "dev"],
        cwd=project,
        env={
            **cloud.environ,
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "STREAM_ARN": stream_arn,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def keys_of(batches: list[Any]) -> list[str]:
    return [record["dynamodb"]["Keys"]["pk"]["S"] for batch in batches for record in batch]


def test_a_notification_reaches_the_function_through_its_filters(rig: Rig) -> None:
    s3 = rig.client("s3")
    for key in ("in/a b.txt", "in/a.bin", "out/a.txt"):
        s3.put_object(Bucket="drop", Key=key, Body=b"hello")
    rig.cloud.wait_idle(20)
    said = rig.said("arrived", "s3")
    assert said == [["drop", "in/a b.txt", 5, "ObjectCreated:Put"]], (
        said,
        rig.function("arrived").logs,
    )


def test_a_stream_is_delivered_in_order_and_a_failed_batch_again(rig: Rig) -> None:
    names = ["one", "fail-two", "three", "four", "five"]
    for name in names:
        put(rig.cloud, name)
    rig.cloud.wait_idle(20)
    batches = rig.said("changed", "stream")
    assert keys_of(batches) == ["before-the-mapping", *names]
    assert max(len(batch) for batch in batches) <= 2
    record = batches[0][0]
    assert record["eventName"] == "INSERT"
    assert record["eventSource"] == "aws:dynamodb"
    assert record["awsRegion"] == "eu-central-1"
    assert record["eventSourceARN"].startswith("arn:aws:dynamodb:eu-central-1:")
    assert record["dynamodb"]["NewImage"]["raw"] == {"B": "AAE="}
    assert record["dynamodb"]["SequenceNumber"].isdigit()


def test_a_rolled_back_transaction_is_not_delivered_and_nothing_after_it_is_lost(
    rig: Rig,
) -> None:
    before = len(keys_of(rig.said("changed", "stream")))
    dynamodb = rig.client("dynamodb")
    writes = [
        {"Put": {"TableName": "changes", "Item": {"pk": {"S": "never"}}}},
        {
            "ConditionCheck": {
                "TableName": "changes",
                "Key": {"pk": {"S": "missing"}},
                "ConditionExpression": "attribute_exists(pk)",
            }
        },
    ]
    with pytest.raises(ClientError, match="TransactionCanceled"):
        dynamodb.transact_write_items(TransactItems=writes)
    put(rig.cloud, "after-the-rollback")
    rig.cloud.wait_idle(20)
    assert keys_of(rig.said("changed", "stream"))[before:] == ["after-the-rollback"]


def test_a_disabled_mapping_waits_and_goes_on(rig: Rig) -> None:
    client = rig.client("lambda")
    mapping = client.list_event_source_mappings()["EventSourceMappings"][0]
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    rig.cloud.wait_idle(20)
    before = len(keys_of(rig.said("changed", "stream")))
    put(rig.cloud, "while-disabled")
    rig.cloud.wait_idle(20)
    assert len(keys_of(rig.said("changed", "stream"))) == before
    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    rig.cloud.wait_idle(20)
    assert keys_of(rig.said("changed", "stream"))[before:] == ["while-disabled"]


def test_a_schedule_fires_on_demand(rig: Rig) -> None:
    rig.cloud.run_schedule("events-dev-hourly")
    rig.cloud.wait_idle(20)
    (event,) = rig.said("hourly", "schedule")
    assert event["detail-type"] == "Scheduled Event"
    assert event["source"] == "aws.events"
    assert event["resources"][0].startswith("arn:aws:events:eu-central-1:")
    with pytest.raises(KeyError):
        rig.cloud.run_schedule("nobody")


def test_an_asynchronous_invocation_is_tried_three_times(rig: Rig) -> None:
    answer = rig.client("lambda").invoke(
        FunctionName="events-dev-flaky", InvocationType="Event", Payload=b'{"a": 1}'
    )
    assert answer["StatusCode"] == 202
    rig.cloud.wait_idle(20)
    assert rig.said("flaky", "flaky") == [{"a": 1}] * 3
