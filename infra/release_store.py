"""Agent releases in the stage's bucket, as who publishes writes them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.release_manifest import LATEST, Binary, Manifest, ManifestError, Platform, parsed
from chalicelib.store.release_bucket import binary_key, manifest_key
from infra.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from infra.target import Target

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


@dataclass(frozen=True)
class Published:
    """A manifest as the bucket holds it."""

    manifest: Manifest
    etag: str


class ReleaseStore:
    """The releases of a stage.

    Args:
        target: the stage.
        bucket: its bucket.
    """

    def __init__(self, target: Target, bucket: str) -> None:
        self._client: S3Client = target.client("s3")
        self._bucket = bucket

    def find(self, version: str) -> Published | None:
        """What was published as a version, or None.

        Raises:
            DeployError: what is there is no manifest.
        """
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=manifest_key(version))
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return None
            raise
        try:
            return Published(parsed(answer["Body"].read()), answer["ETag"])
        except ManifestError as error:
            raise DeployError(f"the manifest of {version} in the bucket is damaged: {error}") from (
                error
            )

    def holds(self, version: str, platform: Platform, binary: Binary) -> bool:
        """Whether the bucket has just this binary."""
        try:
            head = self._client.head_object(
                Bucket=self._bucket,
                Key=binary_key(version, platform, binary),
                ChecksumMode="ENABLED",
            )
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return False
            raise
        if head["ContentLength"] != binary.size:
            return False
        # Not every store tells the checksum that it compared when the object came in.
        told = head.get("ChecksumSHA256") or self._computed(binary_key(version, platform, binary))
        return told == _checksum(binary)

    def _computed(self, key: str) -> str:
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        digest = hashlib.sha256()
        for part in answer["Body"].iter_chunks(1 << 20):
            digest.update(part)
        return base64.b64encode(digest.digest()).decode()

    def upload(self, version: str, platform: Platform, binary: Binary, path: Path) -> None:
        """Store a binary; S3 refuses bytes that are not the ones that were measured."""
        with path.open("rb") as content:
            self._client.put_object(
                Bucket=self._bucket,
                Key=binary_key(version, platform, binary),
                Body=content,
                ContentType="application/octet-stream",
                ChecksumSHA256=_checksum(binary),
            )

    def publish(self, manifest: Manifest, instead_of: Published | None) -> None:
        """Write the manifest of a version.

        Raises:
            DeployError: somebody else wrote one meanwhile; theirs stays.
        """
        if not self._put(manifest.version, manifest, instead_of.etag if instead_of else None):
            raise DeployError(
                f"somebody else published {manifest.version} at the same time; run it again"
            )

    def etag_in_force(self) -> str | None:
        """Which manifest is in force, be it readable or not; None where there is none yet."""
        try:
            return self._client.head_object(Bucket=self._bucket, Key=manifest_key(LATEST))["ETag"]
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return None
            raise

    def put_in_force(self, manifest: Manifest, instead_of: str | None) -> bool:
        """Make a version the one that hosts get when they ask for none: one write.

        Args:
            manifest: of the version.
            instead_of: what was in force; False, and nothing is written, where it is not any more.
        """
        return self._put(LATEST, manifest, instead_of)

    def _put(self, name: str, manifest: Manifest, instead_of: str | None) -> bool:
        precondition: Any = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=manifest_key(name),
                Body=manifest.content,
                ContentType="text/plain; charset=utf-8",
                **precondition,
            )
        except ClientError as error:
            # What was to be replaced may have been taken away meanwhile, too.
            if error.response["Error"].get("Code") in _TAKEN | _ABSENT:
                return False
            raise
        return True


def _checksum(binary: Binary) -> str:
    return base64.b64encode(bytes.fromhex(binary.sha256)).decode()
