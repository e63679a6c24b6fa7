"""Exports in the stage's bucket: a job writes them, presigned addresses hand them out."""

import base64
import hashlib
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "exports"
KEPT_MS = 86_400_000
"""How long an export is there at least; the bucket's lifecycle removes it after that."""


class ExportFile(msgspec.Struct, frozen=True):
    """A file as it was written; `records` is None where it holds none."""

    name: str
    size: int
    sha256: str
    records: int | None = None


class ExportBucket:
    """The stage's bucket.

    Args:
        client: an S3 client.
        bucket: its name.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(
        self, organization: str, job: str, name: str, content: bytes, records: int | None = None
    ) -> ExportFile:
        """Write a file of an export, or write it again.

        Raises:
            Unavailable: S3 did not answer.
        """
        digest = hashlib.sha256(content)
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=_key(organization, job, name),
                Body=content,
                ContentType="application/json"
                if name.endswith(".json")
                else "application/x-ndjson",
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(
                "The store of exports did not answer.",
                code="export_store_unavailable",
                cause=f"{type(error).__name__}: {error}",
            ) from error
        return ExportFile(name, len(content), digest.hexdigest(), records)

    def download_url(self, organization: str, job: str, name: str, *, seconds: int) -> str:
        """A presigned GET that a browser saves and never shows."""
        return str(
            self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": _key(organization, job, name),
                    "ResponseContentDisposition": f'attachment; filename="{name}"',
                },
                ExpiresIn=seconds,
            )
        )


def _key(organization: str, job: str, name: str) -> str:
    return f"{PREFIX}/{organization}/{job}/{name}"
