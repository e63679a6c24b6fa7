"""The key that signs agent releases: its fingerprint, and signing with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chalicelib.release_manifest import Manifest, fingerprint
from infra.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from infra.target import Target

KEY_ARN = "ReleaseKeyArn"
KEY_SHA256 = "ReleaseKeySha256"
"""Not an output of the stack, which cannot know it, but put beside them."""


def public_key(target: Target, outputs: Mapping[str, str]) -> bytes:
    """The key's public half, DER SubjectPublicKeyInfo.

    Raises:
        DeployError: the stack has no such key.
    """
    if not outputs.get(KEY_ARN):
        raise DeployError(f"the stack has no output {KEY_ARN}; deploy the stage first")
    client: KMSClient = target.client("kms")
    return client.get_public_key(KeyId=outputs[KEY_ARN])["PublicKey"]


def with_fingerprint(target: Target, outputs: Mapping[str, str]) -> dict[str, str]:
    """The stack's outputs, and beside them the fingerprint of its release key.

    Raises:
        DeployError: the stack has no such key.
    """
    return {**outputs, KEY_SHA256: fingerprint(public_key(target, outputs))}


def sign(target: Target, outputs: Mapping[str, str], manifest: Manifest) -> bytes:
    """A manifest's signature, DER, verified before it is handed out.

    Raises:
        DeployError: what KMS signed does not verify with the key that the manifest names.
    """
    client: KMSClient = target.client("kms")
    signature = client.sign(
        KeyId=outputs[KEY_ARN],
        Message=hashlib.sha256(manifest.signed).digest(),
        MessageType="DIGEST",
        SigningAlgorithm="ECDSA_SHA_256",
    )["Signature"]
    if not verifies(manifest, signature):
        raise DeployError("KMS signed with another key than the manifest names; nothing was done")
    return signature


def verifies(manifest: Manifest, signature: bytes) -> bool:
    """Whether a signature is of the manifest, by the key that the manifest names."""
    try:
        key = load_der_public_key(manifest.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, manifest.signed, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
