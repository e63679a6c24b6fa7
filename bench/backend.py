"""What the function talks to: MiniStack, with the stage's tables and its signing secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from infra import template
from infra.emulator.account import ISOLATED, REGION
from infra.engines import ministack

STAGE = "bench"
TABLE_PREFIX = f"rollcall-{STAGE}-"
_CREATED_WITH = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema")
_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "bench",
    **ISOLATED,
}


@contextmanager
def backend(run_dir: Path) -> Iterator[dict[str, str]]:
    """Start it; what is yielded is the function's whole environment."""
    with ministack(run_dir, services=("dynamodb", "secretsmanager")) as engine:
        environ = {
            **_ACCOUNT,
            "AWS_ENDPOINT_URL_DYNAMODB": engine.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": engine.url,
            "AWS_LAMBDA_FUNCTION_NAME": "rollcall-bench-api_handler",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": "UTC",
        }
        _create_tables(environ)
        yield {**environ, **_settings(_create_secret(environ))}


def client(service: str, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - made at run time
    """A client of the bench's own."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=environ["AWS_ENDPOINT_URL_DYNAMODB"],
        region_name=REGION,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )


def _create_tables(environ: Mapping[str, str]) -> None:
    database = client("dynamodb", environ)
    for resource in template.load()["Resources"].values():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        properties: Mapping[str, Any] = resource["Properties"]
        name = properties["TableName"]["Fn::Sub"].replace("${Stage}", STAGE)
        given = {key: properties[key] for key in _CREATED_WITH if key in properties}
        database.create_table(TableName=name, **given)


def _create_secret(environ: Mapping[str, str]) -> str:
    value = json.dumps({"current": "k1", "k1": secrets.token_urlsafe(48)})
    created = client("secretsmanager", environ).create_secret(
        Name=f"rollcall-{STAGE}-runtime-signing", SecretString=value
    )
    return str(created["ARN"])


def _settings(secret: str) -> dict[str, str]:
    stream = f"arn:aws:dynamodb:{REGION}:000000000000:table/{TABLE_PREFIX}x/stream/1"
    return {
        "ROLLCALL_STAGE": STAGE,
        "ROLLCALL_TABLE_PREFIX": TABLE_PREFIX,
        "ROLLCALL_BUCKET": "rollcall-bench",
        "ROLLCALL_EVENT_BUS": "rollcall-bench",
        "ROLLCALL_DEAD_LETTER_QUEUE_URL": "https://queue.example/rollcall-bench",
        "ROLLCALL_SIGNING_SECRET_ARN": secret,
        "ROLLCALL_AUDIT_STREAM_ARN": stream,
        "ROLLCALL_JOBS_STREAM_ARN": stream,
        "ROLLCALL_SIGNING_KEY_ARN": f"arn:aws:kms:{REGION}:000000000000:key/rollcall-bench",
        "ROLLCALL_EVIDENCE_BUCKET": "rollcall-bench-evidence",
        "POWERTOOLS_SERVICE_NAME": "rollcall",
        "POWERTOOLS_METRICS_NAMESPACE": "Rollcall",
    }
