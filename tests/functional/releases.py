"""Publishing agent releases into the stage of the tests."""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from chalicelib.release_manifest import Binary, Manifest, Platform, parsed
from infra.publish_agent import Measured, publish
from infra.target import Target

STAGE = "functional"
LINUX, LINUX_ARM, WINDOWS = (
    Platform("linux", "x86_64"),
    Platform("linux", "arm64"),
    Platform("windows", "x86_64"),
)


@cache
def _target() -> Target:
    """One for all tests: a session of its own reads botocore's data anew."""
    return Target(STAGE, dict(os.environ))


class Releases:
    """The releases of the stage.

    Args:
        outputs: of its stack.
        folder: for the binaries.
    """

    def __init__(self, outputs: dict[str, str], folder: Path) -> None:
        self.bucket = outputs["BucketName"]
        self.key = outputs["ReleaseKeyArn"]
        self.s3 = boto3.client("s3")
        self._folder = folder
        self.said: list[str] = []
        self.target = _target()

    def file(self, platform: Platform, content: bytes) -> Measured:
        """A binary to publish."""
        path = self._folder / f"rollcall-agent-{platform.os}-{platform.arch}"
        path.write_bytes(content)
        return Measured(path, Binary(len(content), hashlib.sha256(content).hexdigest()))

    def publish(
        self, version: str, binaries: dict[Platform, bytes], *, latest: bool = True
    ) -> Manifest:
        """Publish, and remember what was said."""
        files = {platform: self.file(platform, content) for platform, content in binaries.items()}
        self.said.clear()
        return publish(self.target, version, files, latest=latest, say=self.said.append)

    def manifest(self, version: str) -> Manifest:
        """The manifest that is there."""
        return parsed(self.read(f"{version}/manifest") or b"")

    def key_of(self, version: str, platform: Platform, content: bytes) -> str:
        """Where a binary is to be, below `releases/`."""
        digest = hashlib.sha256(content).hexdigest()
        return f"{version}/{platform.os}-{platform.arch}-{digest}"

    def binary(self, version: str, platform: Platform, content: bytes) -> bytes | None:
        """What is there where a binary is to be, or None."""
        return self.read(self.key_of(version, platform, content))

    def read(self, key: str) -> bytes | None:
        """An object below `releases/`, or None."""
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=f"releases/{key}")
        except self.s3.exceptions.NoSuchKey:
            return None
        return bytes(found["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        """Put something there, past all care."""
        self.s3.put_object(Bucket=self.bucket, Key=f"releases/{key}", Body=content)

    def clear(self) -> None:
        """Take everything away."""
        listed: Any = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="releases/")
        for one in listed.get("Contents", []):
            self.s3.delete_object(Bucket=self.bucket, Key=one["Key"])
