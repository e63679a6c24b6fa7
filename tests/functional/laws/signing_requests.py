"""Certificate signing requests, good ones and bad ones."""

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@cache
def _key_of(kind: str) -> Key:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa-"):
        # Bad ones are the point of some tests.
        return rsa.generate_private_key(65_537, int(kind.removeprefix("rsa-")))
    curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
    return ec.generate_private_key(next(curve for curve in curves if curve.name == kind))


@cache
def csr_of(kind: str = "secp256r1") -> str:
    """A signed request for a fresh key of a kind."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-1.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    key = _key_of(kind)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signed = builder.sign(key, digest)
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def small_rsa_csr() -> str:
    """A request for a key that is too weak."""
    return csr_of("rsa-1024")


def tampered_csr() -> str:
    """A request whose signature is not of its content."""
    der = x509.load_pem_x509_csr(csr_of().encode()).public_bytes(serialization.Encoding.DER)
    changed = der.replace(b"host-1.example", b"host-2.example")
    request = x509.load_der_x509_csr(changed)
    return request.public_bytes(serialization.Encoding.PEM).decode()
