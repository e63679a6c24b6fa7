"""Which URLs a credential may be sent to."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from rollcall_client.base_url import without_route
from rollcall_client.loopback import is_loopback

from rollcall_cli.exits import CliError, usage


def check_base_url(raw: str) -> str:
    """Check the control plane's base URL; return it without a route or a slash at its end.

    Plain HTTP would show the credential to the network, so only this host itself is spoken to that
    way.

    Raises:
        CliError: it cannot be used.
    """
    url = raw.strip()
    parts = _split(url)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise _bad_url("it must not have a query or a fragment")
    if parts.scheme != "https" and not is_loopback(url):
        raise _bad_url("plain http is for this host only; use https")
    return without_route(url)


def check_download_url(url: str) -> None:
    """Refuse a presigned address that is neither HTTPS nor this host itself.

    Raises:
        CliError: it cannot be used.
    """
    parts = _split(url)
    if parts.scheme != "https" and not is_loopback(url):
        raise _bad_url("plain http is for this host only")


def _split(url: str) -> SplitResult:
    if not url.isascii() or not url.isprintable() or any(mark in url for mark in " '\"\\"):
        raise _bad_url("it holds characters that no URL has")
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _bad_url("it must look like https://host/stage")
    if "@" in parts.netloc:
        # The URL itself is not shown: what stands before the @ is a password.
        raise _bad_url("it must not hold a user name or a password")
    return parts


def _bad_url(why: str) -> CliError:
    return usage(f"The URL cannot be used: {why}.")
