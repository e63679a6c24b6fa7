"""The signed list of a release's binaries: parsed and verified before anything of it is used.

It is made of lines, so that a shell script can verify it as well. Signed are exactly the bytes
before the line of the signature. The key comes with it and is trusted only where its fingerprint
is the pinned one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

FIRST_LINE: Final = "rollcall-agent-manifest 1"
LARGEST_MANIFEST: Final = 64 * 1024
_VERSION: Final = re.compile(r"version ([0-9A-Za-z][0-9A-Za-z.+-]{0,63})")
_FILE: Final = re.compile(
    r"file ([a-z0-9]{1,32}) ([a-z0-9_]{1,32}) ([1-9][0-9]{0,11}) ([0-9a-f]{64})"
)
_MARK: Final = b"\nsignature "


class ManifestError(Exception):
    """The manifest cannot be trusted, or is none."""


@dataclass(frozen=True)
class ReleaseFile:
    """One binary of a release."""

    os: str
    arch: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a verified manifest says."""

    version: str
    files: tuple[ReleaseFile, ...]

    def file_for(self, os: str, arch: str) -> ReleaseFile:
        """Return the binary for a platform.

        Raises:
            ManifestError: The release has none.
        """
        for file in self.files:
            if (file.os, file.arch) == (os, arch):
                return file
        raise ManifestError(f"release {self.version} has no binary for {os} {arch}")


def verified(content: bytes, pin: str) -> Manifest:
    """Verify a manifest and return what it says.

    Args:
        content: The whole manifest, as it was downloaded.
        pin: The lower-case hexadecimal SHA-256 of the release key's DER SubjectPublicKeyInfo.

    Raises:
        ManifestError: It is not exactly a manifest, its key is not the pinned one, or its
            signature is not that key's.
    """
    if len(content) > LARGEST_MANIFEST:
        raise ManifestError("the manifest is too large")
    before, mark, after = content.partition(_MARK)
    if not mark:
        raise ManifestError("the manifest has no signature")
    signed = before + b"\n"
    signature = _decoded(_only_line(after), "signature")
    lines = _lines(signed)
    key = _key(lines, pin)
    _verify(key, signature, signed)
    return _read(lines)


def _lines(signed: bytes) -> list[str]:
    try:
        text = signed.decode("ascii")
    except UnicodeDecodeError as error:
        raise ManifestError("the manifest is no text") from error
    return text.split("\n")[:-1]


def _only_line(after: bytes) -> str:
    """Take the rest as one line: what follows the signature would be signed by nobody."""
    line, end, rest = after.partition(b"\n")
    if end != b"\n" or rest:
        raise ManifestError("the manifest does not end with its signature")
    return line.decode("ascii", "replace")


def _key(lines: list[str], pin: str) -> bytes:
    name, _, encoded = (lines[-1] if lines else "").partition(" ")
    if name != "key":
        raise ManifestError("the manifest has no key before its signature")
    key = _decoded(encoded, "key")
    fingerprint = hashlib.sha256(key).hexdigest()
    if not hmac.compare_digest(fingerprint, pin):
        raise ManifestError(f"the manifest is signed by another key ({fingerprint})")
    return key


def _verify(key: bytes, signature: bytes, signed: bytes) -> None:
    # Imported here, because cryptography takes memory and only an upgrade needs it.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        public = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ManifestError("the manifest's key cannot be read") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise ManifestError("the manifest's key is not one of P-256")
    try:
        public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ManifestError("the manifest's signature is wrong") from error


def _read(lines: list[str]) -> Manifest:
    """Read the lines between the first and the key; each must be one that is known."""
    if len(lines) < len(("first", "version", "file", "key")) or lines[0] != FIRST_LINE:
        raise ManifestError("the manifest is of another kind")
    version = _VERSION.fullmatch(lines[1])
    if version is None:
        raise ManifestError("the manifest names no version")
    files = tuple(_file(line) for line in lines[2:-1])
    if len({(file.os, file.arch) for file in files}) != len(files):
        raise ManifestError("the manifest names a platform twice")
    return Manifest(version.group(1), files)


def _file(line: str) -> ReleaseFile:
    match = _FILE.fullmatch(line)
    if match is None:
        raise ManifestError("the manifest holds a line that is not known")
    os, arch, size, sha256 = match.groups()
    return ReleaseFile(os, arch, int(size), sha256)


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ManifestError(f"the manifest's {what} is not base64") from error
