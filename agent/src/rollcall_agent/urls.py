"""Which URLs a secret may be sent to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from rollcall_client.base_url import without_route
from rollcall_client.loopback import is_loopback

from rollcall_agent.exits import AgentError, ExitCode

# A base URL is also written into the env file, so it holds nothing that a shell would expand.
_PLAIN_URL: Final = re.compile(r"[A-Za-z0-9_.,:/%+=~\[\]-]+")


def check_base_url(raw: str, *, allow_http: bool) -> str:
    """Check the control plane's base URL; return it without a route or a slash at its end.

    Plain HTTP would show the enrollment token to the network, so only this host itself may be
    spoken to that way, unless the operator insists.
    """
    url = raw.strip()
    parts = _split(url)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise _bad_url("it must not have a query or a fragment")
    if _PLAIN_URL.fullmatch(url) is None:
        raise _bad_url("it holds characters that an env file cannot hold")
    refuse_plain_http(url, allow_http=allow_http)
    return without_route(url)


def is_same_place(one: str, other: str) -> bool:
    """Tell whether two checked base URLs name the same control plane."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").rstrip("."), port, parts.path.rstrip("/")


def refuse_plain_http(url: str, *, allow_http: bool) -> None:
    """Refuse what is neither HTTPS nor this host itself."""
    parts = _split(url)
    if parts.scheme == "https" or allow_http or is_loopback(url):
        return
    raise _bad_url("plain http is for this host only; use https, or set ROLLCALL_ALLOW_HTTP=1")


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


def _bad_url(why: str) -> AgentError:
    return AgentError(f"The URL cannot be used: {why}.", ExitCode.USAGE)
