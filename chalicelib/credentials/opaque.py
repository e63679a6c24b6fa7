"""Opaque secrets: prefix, organization, own id, 256 random bits, checksum.

The checksum refuses junk without a request and lets a secret scanner be sure of a find; the
organization stands inside, so that the tenant is known before the first read.
"""

import hashlib
import hmac
import re
import secrets
import zlib

import msgspec

from chalicelib import ids
from chalicelib.credentials.outcome import Rejected, Verified

_RANDOM_BYTES = 32
_SHAPE = re.compile(
    rf"(rc[a-z])_(?P<organization>{ids.BODY})_(?P<id>{ids.BODY})_[0-9a-v]{{52}}[0-9a-v]{{7}}"
)
MAX_LENGTH = 4 + 20 + 1 + 20 + 1 + 52 + 7


class OpaqueClaims(msgspec.Struct, frozen=True):
    """What an opaque secret says of itself; nobody has vouched for it yet."""

    organization: str
    id: str
    digest: bytes


class OpaqueFamily(msgspec.Struct, frozen=True):
    """One family of opaque secrets.

    Args:
        prefix: four characters, `rc` + letter + `_`.
        kind: the kind of identifier of the rows that hold the digests.
    """

    prefix: str
    kind: str

    def issue(self, organization: str, identifier: str) -> str:
        """A new raw secret, to be shown once and kept nowhere."""
        random = ids.base32(secrets.token_bytes(_RANDOM_BYTES))
        stem = f"{self.prefix}{ids.body(organization)}_{ids.body(identifier)}_{random}"
        return stem + _checksum(stem)

    def read(self, raw: str) -> Verified[OpaqueClaims] | Rejected:
        """Take a raw secret apart, without a request and without believing it."""
        match = _SHAPE.fullmatch(raw) if len(raw) == MAX_LENGTH else None
        if match is None or not raw.startswith(self.prefix):
            return Rejected("credential_invalid")
        if not hmac.compare_digest(_checksum(raw[:-7]), raw[-7:]):
            return Rejected("credential_invalid")
        return Verified(
            OpaqueClaims(
                organization=f"{ids.ORGANIZATION}_{match['organization']}",
                id=f"{self.kind}_{match['id']}",
                digest=digest(raw),
            )
        )


def digest(raw: str) -> bytes:
    """SHA-256 of a whole secret: all that is kept of it. 256 random bits need no slow hash."""
    return hashlib.sha256(raw.encode()).digest()


def _checksum(stem: str) -> str:
    return ids.base32(zlib.crc32(stem.encode()).to_bytes(4, "big"))
