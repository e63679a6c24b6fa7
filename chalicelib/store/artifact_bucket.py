"""The bucket: presigned uploads and downloads, and what S3 says of an object.

An upload lands under `incoming/`, where nothing stays longer than a day. Only what was verified
is copied to `artifacts/`, out of reach of any presigned upload.
"""

import base64
import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INCOMING = "incoming"
KEPT = "artifacts"
_DOWNLOADED_AS = "application/octet-stream"
_ABSENT = {"404", "NoSuchKey", "NotFound", "PreconditionFailed", "412"}


class ObjectFacts(msgspec.Struct, frozen=True):
    """What S3 says of an object. `sha256` is None where S3 has not computed it."""

    size: int
    sha256: str | None
    content_type: str
    etag: str


class UploadForm(msgspec.Struct, frozen=True):
    """A presigned POST: where to, and the fields that come before the file."""

    url: str
    fields: dict[str, str]


class ArtifactAddress(msgspec.Struct, frozen=True):
    """Whose artifact; the tenant stands in the object's key too."""

    organization: str
    agent: str
    artifact: str

    def incoming(self) -> str:
        """Where an upload lands."""
        return f"{INCOMING}/{self.organization}/{self.agent}/{self.artifact}"

    def kept(self) -> str:
        """Where a verified artifact stays."""
        return f"{KEPT}/{self.organization}/{self.agent}/{self.artifact}"

    @classmethod
    def of_incoming(cls, key: str) -> "ArtifactAddress | None":
        """The address that an object's key names, or None."""
        prefix, *parts = key.split("/")
        return cls(*parts) if prefix == INCOMING and len(parts) == 3 else None  # noqa: PLR2004


class ArtifactBucket:
    """The stage's bucket.

    Args:
        client: an S3 client.
        bucket: its name.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def upload_form(
        self,
        address: ArtifactAddress,
        *,
        size: int,
        sha256: str,
        content_type: str,
        seconds: int,
    ) -> UploadForm:
        """A presigned POST whose policy fixes key, exact size, type and checksum."""
        fields = {
            "Content-Type": content_type,
            "x-amz-checksum-algorithm": "SHA256",
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        conditions.append(["content-length-range", size, size])
        form = self._client.generate_presigned_post(
            self._bucket,
            address.incoming(),
            Fields=dict(fields),
            Conditions=conditions,
            ExpiresIn=seconds,
        )
        return UploadForm(form["url"], form["fields"])

    def download_url(self, address: ArtifactAddress, *, filename: str, seconds: int) -> str:
        """A presigned GET that a browser saves and never shows."""
        quoted = urllib.parse.quote(filename, safe="")
        return str(
            self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": address.kept(),
                    "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quoted}",
                    "ResponseContentType": _DOWNLOADED_AS,
                },
                ExpiresIn=seconds,
            )
        )

    def describe_incoming(self, address: ArtifactAddress) -> ObjectFacts | None:
        """What S3 says of an upload, or None where there is no such object.

        Raises:
            Unavailable: S3 did not answer.
        """
        try:
            head = self._client.head_object(
                Bucket=self._bucket, Key=address.incoming(), ChecksumMode="ENABLED"
            )
        except (ClientError, BotoCoreError) as error:
            if _is_absent(error):
                return None
            raise _unavailable(error) from error
        checksum = head.get("ChecksumSHA256")
        return ObjectFacts(
            size=head["ContentLength"],
            sha256=base64.b64decode(checksum).hex() if checksum else None,
            content_type=head.get("ContentType", ""),
            etag=head["ETag"],
        )

    def keep(self, address: ArtifactAddress, etag: str) -> bool:
        """Copy an upload to where it stays; False where it is not the one that was described.

        Its bytes alone are kept. A header such as a content encoding, which the form did not sign,
        would change what a download hands out, and not every store refuses it.

        Raises:
            Unavailable: S3 did not answer.
        """
        try:
            self._client.copy_object(
                Bucket=self._bucket,
                Key=address.kept(),
                CopySource={"Bucket": self._bucket, "Key": address.incoming()},
                CopySourceIfMatch=etag,
                ChecksumAlgorithm="SHA256",
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
                ContentType=_DOWNLOADED_AS,
            )
        except (ClientError, BotoCoreError) as error:
            if _is_absent(error):
                return False
            raise _unavailable(error) from error
        return True

    def discard_incoming(self, address: ArtifactAddress) -> None:
        """Remove an upload; nothing happens where there is none.

        Raises:
            Unavailable: S3 did not answer.
        """
        try:
            self._client.delete_object(Bucket=self._bucket, Key=address.incoming())
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error


def _is_absent(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _ABSENT


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        "The artifact store did not answer.",
        code="artifact_store_unavailable",
        cause=f"{type(error).__name__}: {error}",
    )
