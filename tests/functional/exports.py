"""Exports of the audit trail, as operators ask for them, and the function that works on them."""

import hashlib
import json
import urllib.parse
from typing import Any

import boto3

from chalicelib import runtime, workers
from chalicelib.evidence.envelope import rfc3339
from tests.functional.api import Answer, Tenant
from tests.functional.streams import Stream

DAY = 86_400_000


def ask(tenant: Tenant, **more: Any) -> Answer:
    """An export of the last day, or of what is named."""
    now = tenant.api.clock.now
    wanted = {"since": rfc3339(now - DAY), "until": rfc3339(now), **more}
    return tenant.call("POST", "/audit-records/export", wanted)


def asked(tenant: Tenant, **more: Any) -> str:
    answer = ask(tenant, **more)
    assert answer.status == 202, answer.body
    return str(answer.body["job"]["job_id"])


def export(tenant: Tenant, job: str) -> dict[str, Any]:
    """The export as operators see it."""
    answer = tenant.call("GET", f"/audit-records/exports/{job}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def work_off(stream: Stream, context: Any = None, *, at_most: int = 200) -> int:
    """Give the function record after record until none is left; how many there were."""
    count = 0
    while records := stream.read():
        for record in records:
            count += 1
            assert count <= at_most, "the job does not end"
            workers.run_jobs([record], context)
    return count


def content(url: str) -> bytes:
    """What an address names, as S3 has it."""
    path = urllib.parse.urlsplit(url).path.lstrip("/")
    bucket = runtime.current().settings.bucket
    key = path.removeprefix(f"{bucket}/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert isinstance(body, bytes)
    return body


def lines(shown: dict[str, Any]) -> list[bytes]:
    """The lines of all record files, each file being what its entry says."""
    found: list[bytes] = []
    for file in shown["files"]:
        raw = content(file["url"])
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (file["size"], file["sha256"])
        if file["name"].startswith("records-"):
            assert raw.endswith(b"\n")
            of_file = raw.splitlines()
            assert len(of_file) == file["records"]
            found += of_file
    return found


def batches_of(shown: dict[str, Any]) -> list[list[int]]:
    """The numbers of the batches in each file of them."""
    return [
        [json.loads(line)["header"]["number"] for line in content(file["url"]).splitlines()]
        for file in shown["files"]
        if file["name"].startswith("batches-")
    ]
