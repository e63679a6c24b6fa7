"""The policy of a presigned POST."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

# Fields that need no condition of their own.
_FREE = {"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file", "bucket"}
_DIGEST_BYTES = 32
_Json = Any
_PREFIX = "Invalid according to Policy: "


class UploadRefusedError(Exception):
    """S3 would refuse the upload."""

    def __init__(self, status: int, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """A decoded policy document."""

    expiration: datetime
    conditions: list[Any] = field(default_factory=list)

    @classmethod
    def parse(cls, encoded: str) -> Self:
        """Decode the form's policy field.

        Raises:
            UploadRefusedError: It is no policy.
        """
        try:
            document = json.loads(base64.b64decode(encoded, validate=True))
            expiration = datetime.fromisoformat(document["expiration"])
            conditions = list(document["conditions"])
        except (binascii.Error, KeyError, TypeError, ValueError, UnicodeDecodeError):
            raise UploadRefusedError(
                400, "InvalidPolicyDocument", "The content of the form does not meet the policy."
            ) from None
        if expiration.tzinfo is None:
            expiration = expiration.replace(tzinfo=UTC)
        return cls(expiration, conditions)

    def check(self, fields: Mapping[str, str], size: int) -> None:
        """Check a form, by lower-case names, and the file's size.

        Raises:
            UploadRefusedError: The policy does not allow it.
        """
        if datetime.now(UTC) >= self.expiration:
            raise UploadRefusedError(403, "AccessDenied", _PREFIX + "Policy expired.")
        covered = set(_FREE)
        for condition in self.conditions:
            covered |= self._check_one(condition, fields, size)
        extra = [
            name for name in fields if name not in covered and not name.startswith("x-ignore-")
        ]
        if extra:
            message = f"{_PREFIX}Extra input fields: {', '.join(sorted(extra))}"
            raise UploadRefusedError(403, "AccessDenied", message)

    def _check_one(self, condition: _Json, fields: Mapping[str, str], size: int) -> set[str]:
        if isinstance(condition, dict):
            names = set()
            for name, value in condition.items():
                self._compare("eq", name, value, fields)
                names.add(name.lower())
            return names
        operator, name, value = condition
        if str(operator).lower() == "content-length-range":
            _check_size(size, int(name), int(value))
            return set()
        plain = str(name).removeprefix("$")
        self._compare(str(operator).lower(), plain, value, fields)
        return {plain.lower()}

    @staticmethod
    def _compare(operator: str, name: str, value: _Json, fields: Mapping[str, str]) -> None:
        given = fields.get(name.lower())
        if operator == "starts-with":
            fits = given is not None and given.startswith(str(value))
        else:
            fits = operator == "eq" and given == str(value)
        if not fits:
            shown = json.dumps([operator, f"${name}", value])
            message = f"{_PREFIX}Policy Condition failed: {shown}"
            raise UploadRefusedError(403, "AccessDenied", message)


def check_sha256(body: bytes, checksum: str) -> None:
    """Compare the file with the checksum that the form declares.

    Raises:
        UploadRefusedError: They differ.
    """
    try:
        expected = base64.b64decode(checksum, validate=True)
    except binascii.Error:
        expected = b""
    if len(expected) != _DIGEST_BYTES:
        raise UploadRefusedError(
            400, "InvalidRequest", "Value for x-amz-checksum-sha256 header is invalid."
        )
    if hashlib.sha256(body).digest() != expected:
        raise UploadRefusedError(
            400, "BadDigest", "The SHA256 you specified did not match the calculated checksum."
        )


def _check_size(size: int, least: int, most: int) -> None:
    if size > most:
        raise UploadRefusedError(
            400,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            ProposedSize=size,
            MaxSizeAllowed=most,
        )
    if size < least:
        raise UploadRefusedError(
            400,
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
            ProposedSize=size,
            MinSizeAllowed=least,
        )
