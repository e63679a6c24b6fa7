import base64
import hashlib
import random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from chalicelib.errors import Malformed
from chalicelib.flows.csr import facts_of

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-1")])


def csr(key: Any, digest: Any = None) -> bytes:
    """A request in DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


def pem(der: bytes, label: str = "CERTIFICATE REQUEST") -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


KEY = ec.generate_private_key(ec.SECP256R1())
DER = csr(KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "digest", "kind"),
    [
        (KEY, hashes.SHA256(), "ecdsa-secp256r1"),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), "ecdsa-secp384r1"),
        (ed25519.Ed25519PrivateKey.generate(), None, "ed25519"),
        (rsa.generate_private_key(65537, 2048), hashes.SHA256(), "rsa-2048"),
    ],
)
def test_a_good_request_is_read_and_only_hashed(key: Any, digest: Any, kind: str) -> None:
    der = csr(key, digest)
    facts = facts_of(pem(der))
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert facts.key_type == kind
    assert facts.csr_sha256 == hashlib.sha256(der).hexdigest()
    assert facts.public_key_sha256 == hashlib.sha256(spki).hexdigest()


def test_the_hash_is_one_of_the_content_and_not_of_its_line_breaks() -> None:
    text = pem(DER)
    assert facts_of(text) == facts_of(text.replace("\n", "\r\n")) == facts_of(f"\n{text}\n")


def refused(text: str) -> str:
    """Why a request is not taken."""
    with pytest.raises(Malformed) as raised:
        facts_of(text)
    assert raised.value.code == "csr_invalid"
    return str(raised.value.extra["errors"][0]["message"])


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA256()),
        (ed448.Ed448PrivateKey.generate(), None),
        (dsa.generate_private_key(1024), hashes.SHA256()),  # noqa: S505 - weak on purpose
        (rsa.generate_private_key(65537, 1024), hashes.SHA256()),  # noqa: S505 - the same
    ],
    ids=["P-521", "Ed448", "DSA", "RSA-1024"],
)
def test_a_weak_or_unusual_key_is_refused(key: Any, digest: Any) -> None:
    assert "its key must be" in refused(pem(csr(key, digest)))


def test_a_request_that_another_key_signed_is_refused() -> None:
    other = csr(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    signature = DER[-64:]
    assert refused(pem(other[:-64] + signature))


def test_a_version_that_nobody_knows_is_refused_and_no_fault() -> None:
    place = DER.index(b"\x02\x01\x00") + 2
    assert refused(pem(DER[:place] + b"\x01" + DER[place + 1 :])) == "it cannot be read"


@pytest.mark.parametrize(
    "text",
    ["", "x", "-----BEGIN CERTIFICATE REQUEST-----", pem(b""), pem(b"\x30\x00"), pem(DER[:-1]),
     pem(DER + b"\x00"), pem(DER, "CERTIFICATE"), pem(DER, "PRIVATE KEY"), "\x00" * 9],
)  # fmt: skip
def test_junk_is_refused(text: str) -> None:
    assert refused(text) == "it cannot be read"


def test_a_damaged_request_is_never_a_fault() -> None:
    dice = random.Random(7)  # noqa: S311 - the same damage in each run
    for _ in range(1_500):
        damaged = bytearray(DER)
        for _ in range(dice.choice((1, 1, 2, 5))):
            damaged[dice.randrange(len(DER))] ^= dice.randrange(1, 256)
        try:
            facts_of(pem(bytes(damaged)))
        except Malformed as error:
            assert error.code == "csr_invalid"  # noqa: PT017 - most are refused, none may escape


def test_a_request_is_read_without_regard_to_what_it_asks_for() -> None:
    asked = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    asked = asked.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    der = asked.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert set(facts_of(pem(der)).__struct_fields__) == {
        "csr_sha256",
        "public_key_sha256",
        "key_type",
    }
