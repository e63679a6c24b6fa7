"""Reading a certificate signing request: checked and hashed, never kept."""

import hashlib

import msgspec

from chalicelib.errors import Malformed

_LEAST_RSA_BITS = 2048
_MOST_RSA_BITS = 8192


class CsrFacts(msgspec.Struct, frozen=True):
    """What is kept of a CSR. It proves possession of a key, not that a host is the same one."""

    csr_sha256: str
    public_key_sha256: str
    key_type: str


def facts_of(pem: str) -> CsrFacts:
    """Check a CSR's form, key and self-signature.

    Raises:
        Malformed: it is none, its signature is wrong, or its key is weak or of another kind.
    """
    # A heartbeat's cold start does not pay for what only an exchange with a CSR needs.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        request = x509.load_pem_x509_csr(pem.encode())
        public_key = request.public_key()
        key_type = _key_type(public_key)
        valid = key_type is not None and request.is_signature_valid
    except (
        ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion
    ) as error:  # fmt: skip
        raise _malformed("it cannot be read") from error
    if key_type is None:
        raise _malformed("its key must be ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits up")
    if not valid:
        raise _malformed("its signature is not valid")
    der = request.public_bytes(serialization.Encoding.DER)
    spki = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return CsrFacts(
        csr_sha256=hashlib.sha256(der).hexdigest(),
        public_key_sha256=hashlib.sha256(spki).hexdigest(),
        key_type=key_type,
    )


def _key_type(public_key: object) -> str | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(public_key, ec.EllipticCurvePublicKey):
        name = public_key.curve.name
        return f"ecdsa-{name}" if name in {"secp256r1", "secp384r1"} else None
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(public_key, rsa.RSAPublicKey):
        strong = _LEAST_RSA_BITS <= public_key.key_size <= _MOST_RSA_BITS
        return f"rsa-{public_key.key_size}" if strong else None
    return None


def _malformed(why: str) -> Malformed:
    return Malformed(
        "The certificate signing request is not valid.",
        code="csr_invalid",
        extra={"errors": [{"path": "csr", "message": why}]},
    )
