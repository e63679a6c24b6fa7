"""Judges the TLS chain: what is wrong with it, told apart by what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rollcall_agent.doctor.check import Check, failed, ok, warning
from rollcall_agent.doctor.peer import Certificate, UntrustedError
from rollcall_agent.doctor.servers import Proxy, Server
from rollcall_agent.doctor.wire import Network, NotTlsError, ProxyRefusedError, UnreachableError

NAME: Final = "tls"
SOON_DAYS: Final = 14
_DAY: Final = 86400
_NOT_YET, _EXPIRED = 9, 10
_OTHER_NAME: Final = frozenset({62, 64})
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21, 24, 27})
# What opens other people's TLS on their way out says so in the certificates that it makes.
_INTERCEPTORS: Final = (
    "zscaler", "netskope", "forti", "palo alto", "blue coat", "bluecoat", "symantec web",
    "sophos", "cisco umbrella", "mcafee web", "skyhigh", "checkpoint", "check point", "barracuda",
    "websense", "forcepoint", "watchguard", "sonicwall", "untangle", "smoothwall", "lightspeed",
    "kaspersky", "avast", "avg ", "bitdefender", "eset ssl", "mitmproxy", "charles proxy",
    "fiddler", "burp", "portswigger", "squid",
)  # fmt: skip


def check_tls(network: Network, server: Server, proxy: Proxy | None, now: float) -> Check:
    """Shake hands with the server and judge its certificate."""
    try:
        return judge_certificate(network.handshake(server, proxy), now)
    except UntrustedError as error:
        return judge_refusal(error, server, proxied=proxy is not None)
    except NotTlsError as error:
        return failed(
            NAME,
            f"What answers at {server.address} does not speak TLS as it should ({error.reason})",
            "check the port of the URL, and whether a firewall or a captive portal answers instead",
        )
    except (UnreachableError, ProxyRefusedError) as error:
        return failed(
            NAME,
            f"No connection to {server.address}: {_why(error)}",
            "check the URL's host and port, and whether a firewall lets this host out",
        )


def judge_certificate(certificate: Certificate, now: float) -> Check:
    """Judge a certificate that was believed."""
    issuer = certificate.issuer or "an unnamed CA"
    days = _days_left(certificate, now)
    if is_interceptor(certificate.issuer):
        return warning(
            NAME,
            f"The certificate was made by {issuer}, which opens TLS on its way; this host believes "
            "it, so it can read the agent's key",
            "have the control plane's host excepted from TLS inspection",
        )
    if days is not None and days < SOON_DAYS:
        return warning(
            NAME,
            f"The certificate of {issuer} ends in {days} days",
            "tell whoever runs the control plane to renew it",
        )
    left = f", {days} days left" if days is not None else ""
    return ok(NAME, f"The certificate is valid (signed by {issuer}{left})")


def judge_refusal(error: UntrustedError, server: Server, *, proxied: bool) -> Check:
    """Say why a certificate is not believed."""
    shown = error.shown or Certificate(None, None)
    if error.code == _EXPIRED:
        return _expired(shown)
    if error.code == _NOT_YET:
        return failed(
            NAME,
            "The certificate is not valid yet, by this host's clock",
            "compare `date -u` with a clock that you trust; if it is right, tell whoever runs the "
            "control plane",
        )
    if error.code in _OTHER_NAME:
        return failed(
            NAME,
            f"The certificate is valid, but for another name than {server.host}",
            "check the host in ROLLCALL_API_BASE_URL; if it is right, DNS or a proxy leads "
            "elsewhere",
        )
    if error.code in _UNKNOWN_ISSUER:
        return _unknown_issuer(shown, proxied=proxied)
    return failed(
        NAME,
        f"The certificate is not believed (OpenSSL's reason {error.code})",
        "show this line to whoever runs the control plane",
    )


def is_interceptor(issuer: str | None) -> bool:
    """Tell whether an issuer is known to open TLS."""
    return any(word in (issuer or "").lower() for word in _INTERCEPTORS)


def _expired(shown: Certificate) -> Check:
    when = ""
    if shown.ends is not None:
        when = f" on {datetime.fromtimestamp(shown.ends, UTC):%Y-%m-%d}"
    return failed(
        NAME,
        f"The certificate expired{when}, by this host's clock",
        "compare `date -u` with a clock that you trust; if it is right, tell whoever runs the "
        "control plane to renew the certificate",
    )


def _unknown_issuer(shown: Certificate, *, proxied: bool) -> Check:
    issuer = f"{shown.issuer}" if shown.issuer else "a CA that does not say its name"
    if is_interceptor(shown.issuer) or proxied:
        return failed(
            NAME,
            f"The connection is opened on its way: the certificate was made by {issuer}, which "
            "this host does not believe",
            "have the control plane's host excepted from TLS inspection; where that cannot be, "
            "name the inspecting CA's file in ROLLCALL_CA_BUNDLE, which lets it read the key",
        )
    return failed(
        NAME,
        f"The certificate was signed by {issuer}, which this host does not know",
        "if the control plane has a private CA, name its file in ROLLCALL_CA_BUNDLE; if not, "
        "somebody answers in its place: do not go on",
    )


def _days_left(certificate: Certificate, now: float) -> int | None:
    return None if certificate.ends is None else int((certificate.ends - now) // _DAY)


def _why(error: UnreachableError | ProxyRefusedError) -> str:
    if isinstance(error, ProxyRefusedError):
        return f"the proxy answered {error.status}"
    return error.reason
