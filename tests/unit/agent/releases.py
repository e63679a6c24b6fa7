"""Releases made for a test: a key, signed manifests, and binaries that are shell scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rollcall_agent.downloads import DownloadError

PLATFORM = ("linux", "x86_64")


def program(version: str) -> bytes:
    """Return a program that prints a version, as the agent's `version` does."""
    return f"#!/bin/sh\necho {version}\n".encode()


class Signer:
    """A release key."""

    def __init__(self, curve: ec.EllipticCurve | None = None) -> None:
        self._key = ec.generate_private_key(curve or ec.SECP256R1())
        self.public = self._key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        self.pin = hashlib.sha256(self.public).hexdigest()

    def manifest(self, version: str, binary: bytes, platform: tuple[str, str] = PLATFORM) -> bytes:
        """Return the signed manifest of a release with one binary."""
        digest = hashlib.sha256(binary).hexdigest()
        return self.sealed(
            [
                "rollcall-agent-manifest 1",
                f"version {version}",
                f"file {platform[0]} {platform[1]} {len(binary)} {digest}",
            ]
        )

    def sealed(self, lines: list[str]) -> bytes:
        """Add the key and the signature to the lines of a manifest."""
        key = base64.b64encode(self.public).decode()
        signed = "".join(f"{line}\n" for line in [*lines, f"key {key}"]).encode()
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return signed + b"signature " + base64.b64encode(signature) + b"\n"


@dataclass
class FakeReleases:
    """A control plane that has published some versions."""

    signer: Signer
    binaries: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, version: str, binary: bytes | None = None) -> None:
        self.binaries[version] = program(version) if binary is None else binary
        self.manifests[version] = self.signer.manifest(version, self.binaries[version])

    def manifest(self, version: str | None) -> bytes:
        version = version or max(self.manifests)
        self.asked.append(version)
        if version not in self.manifests:
            raise DownloadError("not published")
        return self.manifests[version]

    def binary(self, os: str, arch: str, version: str) -> Iterator[bytes]:
        assert (os, arch) == PLATFORM
        content = self.binaries[version]
        yield content[:7]
        yield content[7:]
