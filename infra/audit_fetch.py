"""Fetches an organization's audit records of a time range with the batches that seal them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record_form import export_line
from chalicelib.evidence.sealed_batch import parsed
from chalicelib.store import audit_records
from chalicelib.store.evidence_bucket import PREFIX
from infra import audit_pages
from infra.audit_chain import milliseconds
from infra.audit_files import BATCHES, MANIFEST, RECORDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from infra.audit_pages import Row

_HOUR_MS = 3_600_000
# A stream brings a record within a day, or never.
_LATE_MS = 25 * _HOUR_MS
_ABSENT = {"404", "NoSuchKey", "NotFound"}


class Batches:
    """An organization's batches in the bucket.

    Args:
        client: of S3.
        bucket: its name.
        organization: whose.
    """

    def __init__(self, client: S3Client, bucket: str, organization: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{PREFIX}/{organization}/"

    def between(self, since: int, until: int) -> tuple[Iterator[str], bool]:
        """Lines of those that may seal a record of a time range, and whether the newest is one."""
        keys = self._keys()
        sealed_at = cache(self._sealed_at)
        # Batches are sealed one after the other, so their times are in the order of their keys.
        low = bisect_left(keys, since - _HOUR_MS, key=sealed_at)
        high = bisect_left(keys, until + _LATE_MS, key=sealed_at)
        to_the_end = high == len(keys)
        if to_the_end and keys:
            # The newest is always there: whoever verifies can tell then that no other was cut off.
            low = min(low, high - 1)
        return (self._line(key) for key in keys[low:high]), to_the_end

    def _keys(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def _sealed_at(self, key: str) -> int:
        try:
            return milliseconds(parsed(self._body(key)).header.sealed_at)
        except (msgspec.MsgspecError, ValueError):
            # Not a batch of ours: whoever reads must see it, so the search may not pass it over.
            return self._written_at(key)

    def _written_at(self, key: str) -> int:
        head = self._client.head_object(Bucket=self._bucket, Key=key)
        return int(head["LastModified"].timestamp() * 1000)

    def _line(self, key: str) -> str:
        body = self._body(key)
        try:
            # As it is, where it is one line; else the verifier would see several.
            return canonical(json.loads(body)).decode("ascii")
        except ValueError:
            return json.dumps(body.decode("utf-8", "replace"))

    def _body(self, key: str) -> bytes:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return b"null"  # removed since it was listed
            raise


def fetch(
    clients: tuple[DynamoDBClient, S3Client],
    outputs: dict[str, str],
    organization: str,
    span: tuple[int, int],
    folder: Path,
    *,
    now: int,
) -> tuple[int, int]:
    """Write an export into a folder; how many records and batches it has.

    Batches are read before records: so every record that they seal is there to be read.
    """
    database, s3 = clients
    prefix = outputs["TablePrefix"]
    since, until = span
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = _head(database, prefix, organization)
    lines, to_the_end = Batches(s3, outputs["EvidenceBucketName"], organization).between(*span)
    batches = _write(folder / BATCHES, lines)
    rows = audit_pages.records(database, prefix, organization, since=since, until=until)
    records = _write(folder / RECORDS, (_record_line(row) for row in rows))
    said = {
        "organization": organization,
        "since": rfc3339(since),
        "until": rfc3339(until),
        "fetched_at": rfc3339(now),
        "head": head if to_the_end else None,
    }
    (folder / MANIFEST).write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    return records, batches


def _head(client: DynamoDBClient, prefix: str, organization: str) -> dict[str, Any] | None:
    answer = client.get_item(
        TableName=f"{prefix}organizations",
        Key={"organization": {"S": organization}, "item": {"S": "seal"}},
        ConsistentRead=True,
    )
    row = answer.get("Item")
    if row is None:
        return None
    return {"number": int(row["sealed"]["N"]), "digest": bytes(row["digest"]["B"]).hex()}


def _record_line(row: Row) -> str:
    try:
        return export_line(audit_records.from_stream(row))
    except Exception:  # noqa: BLE001 - a row that is no record is what the verifier must see
        return json.dumps({"id": audit_pages.sort_of(row).rpartition("#")[2], "unreadable": True})


def _write(path: Path, lines: Iterator[str]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as opened:
        for line in lines:
            opened.write(line + "\n")
            count += 1
    return count
