"""The certificate that a server showed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall_agent.say import clean

_LONGEST_NAME: Final = 100


@dataclass(frozen=True)
class Certificate:
    """What is told of a certificate.

    Attributes:
        issuer: Who signed it, by name.
        ends: When it ends, in seconds since the epoch.
    """

    issuer: str | None
    ends: float | None


class UntrustedError(Exception):
    """A certificate that is not believed.

    Attributes:
        code: OpenSSL's number of the reason.
        shown: What the certificate says of itself, if it could be read.
    """

    def __init__(self, code: int, shown: Certificate | None) -> None:
        super().__init__(str(code))
        self.code = code
        self.shown = shown


def of_peer(parsed: Mapping[str, Any]) -> Certificate:
    """Read what the ssl module says of a certificate that was believed."""
    names = {kind: value for part in parsed.get("issuer", ()) for kind, value in part}
    issuer = " ".join(names[kind] for kind in ("organizationName", "commonName") if names.get(kind))
    ends = parsed.get("notAfter")
    return Certificate(
        clean(issuer, _LONGEST_NAME) or None,
        float(ssl.cert_time_to_seconds(ends)) if isinstance(ends, str) else None,
    )


def untrusted(error: ssl.SSLCertVerificationError, shown: bytes | None) -> UntrustedError:
    """Build the error, with what the certificate itself says."""
    return UntrustedError(error.verify_code, _of_der(shown) if shown else None)


def _of_der(der: bytes) -> Certificate | None:
    # The ssl module reads only what it believes.
    try:
        from cryptography import x509  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        certificate = x509.load_der_x509_certificate(der)
        kinds = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        names = [
            str(one.value)
            for kind in kinds
            for one in certificate.issuer.get_attributes_for_oid(kind)
        ]
        ends = certificate.not_valid_after_utc.timestamp()
    except (ImportError, ValueError):
        return None
    return Certificate(clean(" ".join(names), _LONGEST_NAME) or None, ends)
