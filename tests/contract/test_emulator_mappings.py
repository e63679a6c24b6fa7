"""Event source mappings as Lambda keeps them: any name finds them, one a function and stream."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.emulator import settling
from infra.emulator.cloud import EmulatedCloud
from infra.local_stack import emulated_target
from infra.target import Target

FUNCTION = "rollcall-dev-run_jobs"


@dataclass(frozen=True)
class Rig:
    cloud: EmulatedCloud
    target: Target
    stream: str
    function: str

    def connect(self, function: str) -> dict[str, Any]:
        made: dict[str, Any] = self.target.client("lambda").create_event_source_mapping(
            EventSourceArn=self.stream, FunctionName=function, StartingPosition="TRIM_HORIZON"
        )
        return made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with EmulatedCloud(tmp_path / "cloud") as cloud:
        target = emulated_target(cloud, {})
        table = target.client("dynamodb").create_table(
            TableName="jobs", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]  # fmt: skip
        role = target.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        archive = io.BytesIO()
        zipfile.ZipFile(archive, "w").close()
        made = target.client("lambda").create_function(
            FunctionName=FUNCTION, Runtime="python3.13", Handler="app.f",
            Role=role["Role"]["Arn"], Code={"ZipFile": archive.getvalue()},
        )  # fmt: skip
        yield Rig(cloud, target, table["LatestStreamArn"], made["FunctionArn"])


def test_a_mapping_is_found_by_name_and_arn_however_it_was_made(rig: Rig) -> None:
    made = rig.connect(rig.function)
    client = rig.target.client("lambda")
    for name in (FUNCTION, rig.function, f"{rig.function}:$LATEST"):
        found = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        assert [one["UUID"] for one in found] == [made["UUID"]], name
    assert client.list_event_source_mappings(FunctionName="another")["EventSourceMappings"] == []


def test_a_second_mapping_of_one_function_and_stream_is_refused(rig: Rig) -> None:
    first = rig.connect(FUNCTION)
    with pytest.raises(ClientError, match="already exists") as caught:
        rig.connect(rig.function)
    assert caught.value.response["Error"]["Code"] == "ResourceConflictException"
    rig.target.client("lambda").delete_event_source_mapping(UUID=first["UUID"])
    assert rig.connect(FUNCTION)["UUID"] != first["UUID"]


def test_what_is_new_is_refused_once_on_request(rig: Rig) -> None:
    refusals = rig.cloud.refuse_while_settling()
    s3 = rig.target.client("s3")
    where: Any = {"LocationConstraint": rig.target.region}
    s3.create_bucket(Bucket="uploads", CreateBucketConfiguration=where)
    configuration: Any = {
        "LambdaFunctionConfigurations": [
            {"LambdaFunctionArn": rig.function, "Events": ["s3:ObjectCreated:*"]}
        ]
    }
    with pytest.raises(ClientError, match=r"InvalidParameterValueException.*Cannot access stream"):
        rig.connect(FUNCTION)
    with pytest.raises(ClientError, match=r"InvalidArgument.*Unable to validate the following"):
        s3.put_bucket_notification_configuration(
            Bucket="uploads", NotificationConfiguration=configuration
        )
    rig.connect(FUNCTION)
    s3.put_bucket_notification_configuration(
        Bucket="uploads", NotificationConfiguration=configuration
    )
    assert refusals.refused == [settling.MAPPING, settling.NOTIFICATION]
