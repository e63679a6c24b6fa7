"""The evidence bucket: sealed batches, each written once and locked until its time is over."""

import datetime
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "batches"
_NUMBERS = 10**12
_ABSENT = {"404", "NoSuchKey", "NotFound"}
# The second is what S3 answers while another write of the same key is under way.
_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


class StoredBatch(msgspec.Struct, frozen=True):
    """An object's bytes, and the tag that names this content."""

    body: bytes
    etag: str


def batch_key(organization: str, number: int) -> str:
    """Where a batch is kept; keys of one organization sort by number."""
    return f"{PREFIX}/{organization}/{number:012d}.json"


class EvidenceBucket:
    """The stage's evidence bucket.

    Args:
        client: an S3 client.
        bucket: its name.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(
        self,
        organization: str,
        number: int,
        body: bytes,
        *,
        locked_until: int,
        instead_of: str | None = None,
    ) -> bool:
        """Write a batch where there is none; False where there is one.

        Args:
            organization: whose.
            number: of the batch.
            body: its bytes.
            locked_until: milliseconds since the epoch.
            instead_of: the tag of an object to put it before; that one stays, as an older
                version, and False says that there is another one by now.

        Raises:
            Unavailable: S3 did not answer, or refuses.
        """
        until = datetime.datetime.fromtimestamp(locked_until // 1000, tz=datetime.UTC)
        precondition = {"IfNoneMatch": "*"} if instead_of is None else {"IfMatch": instead_of}
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=batch_key(organization, number),
                Body=body,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                ObjectLockMode="GOVERNANCE",
                ObjectLockRetainUntilDate=until,
                **precondition,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error.response["Error"].get("Code") in _TAKEN:
                return False
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error
        return True

    def find(self, organization: str, number: int) -> StoredBatch | None:
        """A batch's object as it is, or None.

        Raises:
            Unavailable: S3 did not answer, or refuses.
        """
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=batch_key(organization, number)
            )
            return StoredBatch(answer["Body"].read(), answer["ETag"])
        except ClientError as error:
            if error.response["Error"].get("Code") in _ABSENT:
                return None
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error

    def last(self, organization: str, *, below: int = _NUMBERS) -> int | None:
        """The highest number that has an object, or None; numbers may be missing below it.

        Nobody lists a year of batches: whether there is one after a number is one request.

        Raises:
            Unavailable: S3 did not answer, or refuses.
        """
        low = self._next(organization, 0, below)
        if low is None:
            return None
        step = 1
        while (found := self._next(organization, low + step, below)) is not None:
            low, step = found, 2 * step
        high = low + step
        while low < high:
            middle = (low + high) // 2
            found = self._next(organization, middle, below)
            low, high = (low, middle) if found is None else (found, high)
        return low

    def _next(self, organization: str, number: int, below: int) -> int | None:
        if number >= below:
            return None
        prefix = f"{PREFIX}/{organization}/"
        try:
            answer = self._client.list_objects_v2(
                Bucket=self._bucket,
                Prefix=prefix,
                StartAfter=batch_key(organization, number),
                MaxKeys=1,
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        for one in answer.get("Contents", []):
            name = one["Key"].removeprefix(prefix).removesuffix(".json")
            if name.isdecimal() and int(name) < below:
                return int(name)
        return None


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        "The evidence bucket did not answer.",
        code="evidence_bucket_unavailable",
        cause=f"{type(error).__name__}: {error}",
    )
