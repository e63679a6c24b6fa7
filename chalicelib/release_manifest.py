"""The manifest of an agent release: which binaries a version has, signed by the release key.

It is made of lines, so that a shell script can read it. Signed are exactly the bytes before the
line of the signature.
"""

import base64
import binascii
import hashlib
import re

import msgspec

FIRST_LINE = "rollcall-agent-manifest 1"
LARGEST = 16 * 1024
"""Bytes that no manifest exceeds."""

LATEST = "latest"
"""What is no version, but the name of the one that is in force."""

VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}")
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "windows": "windows"}
_ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "x64": "x86_64",
    "arm64": "arm64",
    "aarch64": "arm64",
}
_FILE = re.compile(
    r"file (linux|darwin|windows) (x86_64|arm64) (0|[1-9][0-9]{0,11}) ([0-9a-f]{64})"
)
_SIGNATURE = "signature "


class ManifestError(ValueError):
    """The text is no manifest, in words that may be shown."""


class Platform(msgspec.Struct, frozen=True, order=True):
    """What a binary runs on, by the names of the manifest."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}/{self.arch}"


class Binary(msgspec.Struct, frozen=True):
    """A binary, as the manifest promises it."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a manifest says.

    Args:
        version: of the release.
        binaries: by what they run on.
        public_key: the signing key as it names itself, DER SubjectPublicKeyInfo. Whether that is
            the right one, its reader must know from elsewhere.
        signed: the bytes that the signature is over.
        signature: DER ECDSA, P-256, SHA-256; empty while there is none.
    """

    version: str
    binaries: dict[Platform, Binary]
    public_key: bytes
    signed: bytes
    signature: bytes = b""

    @property
    def content(self) -> bytes:
        """The whole manifest, with its signature."""
        line = f"{_SIGNATURE}{base64.b64encode(self.signature).decode()}\n"
        return self.signed + line.encode()

    @property
    def platforms(self) -> list[str]:
        """What there are binaries for, in order."""
        return [str(platform) for platform in sorted(self.binaries)]


def platform_of(os: str, arch: str) -> Platform | None:
    """The platform by the names that systems give themselves, or None for another one."""
    system, architecture = _SYSTEMS.get(os.lower()), _ARCHITECTURES.get(arch.lower())
    return Platform(system, architecture) if system and architecture else None


def fingerprint(public_key: bytes) -> str:
    """How a key is named: the SHA-256 of its DER SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(public_key).hexdigest()


def unsigned(version: str, binaries: dict[Platform, Binary], public_key: bytes) -> Manifest:
    """A manifest to be signed."""
    lines = [FIRST_LINE, f"version {version}"]
    lines += [
        f"file {platform.os} {platform.arch} {binary.size} {binary.sha256}"
        for platform, binary in sorted(binaries.items())
    ]
    lines.append(f"key {base64.b64encode(public_key).decode()}")
    return Manifest(version, binaries, public_key, "".join(f"{x}\n" for x in lines).encode())


def parsed(content: bytes) -> Manifest:
    """Read a manifest. Its signature is not verified here.

    Raises:
        ManifestError: it is not written as `unsigned` and `content` write it, to the byte.
    """
    if len(content) > LARGEST:
        raise ManifestError("it is too large")
    try:
        first, version, *files, key, signature = content.decode("ascii").split("\n")[:-1]
    except (UnicodeDecodeError, ValueError) as error:
        raise ManifestError("it has too few lines, or is no text") from error
    named = version.removeprefix("version ")
    if first != FIRST_LINE or VERSION.fullmatch(named) is None:
        raise ManifestError("its first lines are not those of a manifest")
    made = unsigned(named, _binaries(files), _decoded(key, "key "))
    read = msgspec.structs.replace(made, signature=_decoded(signature, _SIGNATURE))
    # One way to write each manifest: what else the lines hold, nobody would notice.
    if read.content != content:
        raise ManifestError("it is not written in the one way that a manifest is")
    return read


def _binaries(lines: list[str]) -> dict[Platform, Binary]:
    found: dict[Platform, Binary] = {}
    for line in lines:
        match = _FILE.fullmatch(line)
        if match is None:
            raise ManifestError("a line of it names no file")
        found[Platform(match[1], match[2])] = Binary(int(match[3]), match[4])
    return found


def _decoded(line: str, name: str) -> bytes:
    try:
        return base64.b64decode(line.removeprefix(name), validate=True)
    except binascii.Error as error:
        raise ManifestError(f"its {name.strip()} is not in base64") from error
