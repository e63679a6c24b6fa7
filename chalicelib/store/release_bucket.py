"""Agent releases in the stage's bucket: the deployer writes them, the API hands them out."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable
from chalicelib.release_manifest import LARGEST, Binary, Platform

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "releases"
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_DOWNLOADED_AS = "application/octet-stream"


def manifest_key(version: str) -> str:
    """Where the manifest of a version is; of `latest`, a copy of the one that is in force."""
    return f"{PREFIX}/{version}/manifest"


def binary_key(version: str, platform: Platform, binary: Binary) -> str:
    """Where a binary is: a name that no other bytes can have."""
    return f"{PREFIX}/{version}/{platform.os}-{platform.arch}-{binary.sha256}"


class ReleaseBucket:
    """The stage's bucket.

    Args:
        client: an S3 client.
        bucket: its name.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def manifest(self, version: str) -> bytes | None:
        """The manifest of a version, or None where there is none.

        Raises:
            Unavailable: S3 did not answer, or refuses.
        """
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=manifest_key(version))
            return answer["Body"].read(LARGEST + 1)
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return None
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error

    def download_url(
        self, version: str, platform: Platform, binary: Binary, *, seconds: int
    ) -> str:
        """A presigned GET of a binary."""
        suffix = ".exe" if platform.os == "windows" else ""
        return str(
            self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": binary_key(version, platform, binary),
                    "ResponseContentDisposition": f'attachment; filename="rollcall-agent{suffix}"',
                    "ResponseContentType": _DOWNLOADED_AS,
                },
                ExpiresIn=seconds,
            )
        )


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        "The store of agent releases did not answer.",
        code="release_store_unavailable",
        cause=f"{type(error).__name__}: {error}",
    )
