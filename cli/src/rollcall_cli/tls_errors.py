"""Why a TLS certificate was not accepted, in words that say what to do."""

from __future__ import annotations

import ssl
from typing import Final

# OpenSSL's X509_V_ERR_…; see `man verify`.
_REASONS: Final = {
    9: "its certificate is not valid yet by this machine's clock: is the clock right?",
    10: "its certificate has expired by this machine's clock: is the clock right?",
    18: "its certificate is signed by itself: SSL_CERT_FILE names a private CA",
    19: "its certificate is of a CA that is not known here: SSL_CERT_FILE names a private CA",
    20: "its certificate is of a CA that is not known here: SSL_CERT_FILE names a private CA",
    21: "its certificate is of a CA that is not known here: SSL_CERT_FILE names a private CA",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}


def certificate_reason(error: BaseException) -> str | None:
    """What is wrong with the certificate; None where the error is about something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return _REASONS.get(seen.verify_code, "its certificate was not accepted")
        seen = seen.__cause__ or seen.__context__
    return None
