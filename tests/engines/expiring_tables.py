"""The stage's tables on a MiniStack of its own, which looks for expired rows all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from infra.engines import ministack
from infra.engines.seaweedfs import ACCESS_KEY, SECRET_KEY
from infra.local_stack import STAGE
from infra.template import load
from tests.process_environment import surrounded_by

REGION = "eu-central-1"
LOOKS_EVERY_SECONDS = 0.2
_OF_CREATE_TABLE = (
    *("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"),
    "StreamSpecification",
)


@contextmanager
def expiring_tables(run_dir: Path) -> Iterator[None]:
    """Run the app in this process on them; nothing else of AWS is there."""
    with ministack(run_dir, expiry_pause=LOOKS_EVERY_SECONDS) as engine:
        # The models keep the names of their tables: the other tests' stage has the same.
        prefix = f"rollcall-{STAGE}-"
        tables = f"arn:aws:dynamodb:{REGION}:1:table/{prefix}"
        environ = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_DYNAMODB": engine.url,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": engine.url,
            "ROLLCALL_STAGE": STAGE,
            "ROLLCALL_TABLE_PREFIX": prefix,
            "ROLLCALL_BUCKET": "nobody-looks-into-it",
            "ROLLCALL_EVENT_BUS": "rollcall-test",
            "ROLLCALL_DEAD_LETTER_QUEUE_URL": "https://sqs.invalid/letters",
            "ROLLCALL_SIGNING_SECRET_ARN": "arn:secret",
            "ROLLCALL_AUDIT_STREAM_ARN": f"{tables}audit_records/stream/1",
            "ROLLCALL_JOBS_STREAM_ARN": f"{tables}jobs/stream/1",
            "ROLLCALL_SIGNING_KEY_ARN": "arn:key",
            "ROLLCALL_EVIDENCE_BUCKET": "nobody-looks-into-it",
        }
        with surrounded_by(environ):
            _create_tables(prefix)
            yield


def _create_tables(prefix: str) -> None:
    client = boto3.client("dynamodb")
    for resource in load()["Resources"].values():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        wanted = resource["Properties"]
        name = prefix + wanted["TableName"]["Fn::Sub"].rsplit("-", 1)[1]
        given: dict[str, Any] = {key: wanted[key] for key in _OF_CREATE_TABLE if key in wanted}
        if stream := given.get("StreamSpecification"):
            given["StreamSpecification"] = {"StreamEnabled": True, **stream}
        client.create_table(TableName=name, **given)
        if expiry := wanted.get("TimeToLiveSpecification"):
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
