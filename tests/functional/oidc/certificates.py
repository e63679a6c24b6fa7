"""Certificates for servers on the loopback, made when the tests run."""

import datetime
import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and key, and the bundle that vouches for it."""

    chain: Path
    key: Path
    bundle: Path


def make(folder: Path, *names: str) -> Certificate:
    """A certificate authority of its own, and a certificate for some names and addresses."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: two authorities of one name would be taken for each other.
    name = _name(f"Test authority {secrets.token_hex(8)}")
    authority = _signed(name, name, authority_key, authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    server = _signed(_name("Test server"), authority.subject, key, authority_key, names)
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "bundle.pem")
    pem = serialization.Encoding.PEM
    made.chain.write_bytes(server.public_bytes(pem))
    made.bundle.write_bytes(authority.public_bytes(pem))
    made.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...] = (),
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
