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
from chalicelib.evidence.sealed_batch import SealedBatch, parsed, written
from chalicelib.store import audit_records
from chalicelib.store.evidence_bucket import PREFIX, batch_key
from infra import audit_pages
from infra.audit_chain import flaw_of, milliseconds
from infra.audit_files import BATCHES, MANIFEST, RECORDS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from infra.audit_pages import Row

_HOUR_MS = 3_600_000
# A stream brings a record within a day, or never.
_LATE_MS = 25 * _HOUR_MS
_ABSENT = {"404", "NoSuchKey", "NotFound", "NoSuchVersion"}


class Batches:
    """An organization's batches in the bucket, each as the key signed it.

    The bucket is versioned and what the sealer wrote is locked: whoever puts something over a batch
    or hides it leaves it there, as an older version. So nothing is taken for what nobody signed.

    Args:
        client: of S3.
        bucket: its name.
        organization: whose.
        key: the stage's public key.
    """

    def __init__(
        self, client: S3Client, bucket: str, organization: str, key: ec.EllipticCurvePublicKey
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._organization = organization
        self._key = key
        self._versions: dict[str, list[str]] = {}
        self._hidden: set[str] = set()
        self.disturbed: list[int] = []
        """Numbers of those that something else was put over, or that were hidden."""

    def between(self, since: int, until: int, now: int) -> tuple[Iterator[str], bool]:
        """Lines of those that may seal a record of a time range, and whether the newest is one."""
        self._list()
        keys = sorted(self._versions)
        sealed_at = cache(lambda place: self._sealed_at(keys, place))
        # Batches are sealed one after the other, so their times are in the order of their keys.
        places = range(len(keys))
        low = bisect_left(places, since - _HOUR_MS, key=sealed_at)
        high = bisect_left(places, until + _LATE_MS, key=sealed_at)
        to_the_end = high == len(keys)
        # The one before: whoever verifies can tell then that none was left out at the beginning.
        low = max(0, min(low - 1, high - 1))
        lines = (self._line(key, now) for key in keys[low:high])
        return (line for line in lines if line is not None), to_the_end

    def _list(self) -> None:
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=f"{PREFIX}/{self._organization}/"
        )
        for page in pages:
            for one in page.get("Versions", []):
                versions = self._versions.setdefault(one["Key"], [])
                # The newest comes first, whatever the listing's order.
                versions.insert(0 if one["IsLatest"] else len(versions), one["VersionId"])
            self._hidden |= {one["Key"] for one in page.get("DeleteMarkers", []) if one["IsLatest"]}

    def _sealed_at(self, keys: list[str], place: int) -> int:
        """When a batch was sealed, or the last one before it that can be trusted."""
        for key in reversed(keys[: place + 1]):
            found = self._signed(key)[0]
            if found is not None:
                return milliseconds(found.header.sealed_at)
        return 0

    def _signed(self, key: str) -> tuple[SealedBatch | None, bool]:
        """The batch that the key signed for this place, and whether it is what one finds there."""
        for at, version in enumerate(self._versions[key]):
            try:
                batch = parsed(self._body(key, version))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            place = batch_key(batch.header.organization, batch.header.number)
            if place == key and flaw_of(batch, self._key) is None:
                return batch, at == 0 and key not in self._hidden
        return None, False

    def _line(self, key: str, now: int) -> str | None:
        batch, undisturbed = self._signed(key)
        if batch is not None:
            # A batch whose time is over is hidden by the bucket's own rule.
            expired = key in self._hidden and now >= milliseconds(batch.header.retain_until)
            if not undisturbed and not expired:
                self.disturbed.append(batch.header.number)
            return written(batch).decode("ascii")
        body = self._body(key, self._versions[key][0])
        try:
            # As it is, where it is one line; else the verifier would see several.
            return canonical(json.loads(body)).decode("ascii")
        except (ValueError, RecursionError):
            return json.dumps(body.decode("utf-8", "replace"))

    def _body(self, key: str, version: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=version)
            return answer["Body"].read()
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
    key: ec.EllipticCurvePublicKey,
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
    chain = Batches(s3, outputs["EvidenceBucketName"], organization, key)
    lines, to_the_end = chain.between(*span, now)
    batches = _write(folder / BATCHES, lines)
    rows = audit_pages.records(database, prefix, organization, since=since, until=until)
    records = _write(folder / RECORDS, (_record_line(row) for row in rows))
    said = {
        "organization": organization,
        "since": rfc3339(since),
        "until": rfc3339(until),
        "fetched_at": rfc3339(now),
        # Where the range ended before the chain did, the export goes to its own last batch.
        "head": head if to_the_end else _last(folder / BATCHES),
        "disturbed": chain.disturbed,
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


def _last(file: Path) -> dict[str, Any] | None:
    last = ""
    with file.open(encoding="utf-8") as opened:
        for line in opened:
            last = line
    try:
        header = parsed(last).header
    except msgspec.MsgspecError:
        return None
    return {"number": header.number, "digest": header.digest().hex()}


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
