"""Who is spoken to: the control plane's server, and a proxy on the way."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS: Final = {"https": 443, "http": 80}
_PROXY_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Server:
    """The server of a base URL."""

    url: str
    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, base_url: str) -> Server:
        """Take a checked base URL apart."""
        parts = urlsplit(base_url)
        port = parts.port or _PORTS[parts.scheme]
        return cls(base_url, parts.hostname or "", port, parts.scheme == "https")

    @property
    def address(self) -> str:
        """Return host and port as a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Proxy:
    """A proxy of the environment.

    Attributes:
        setting: Which variable named it.
        authorization: What its user name and password are sent as; never shown.
    """

    setting: str
    scheme: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Name it without its password."""
        return f"{self.scheme}://{self.host}:{self.port} ({self.setting})"


class BadProxyError(ValueError):
    """A proxy's URL that cannot be used."""

    def __init__(self, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


def proxy_for(url: str, settings: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the agent's requests to a URL go through, if any.

    Args:
        url: The control plane's.
        settings: What `urllib.request.getproxies` finds: by scheme, and `no` for NO_PROXY.

    Raises:
        BadProxyError: The one that applies cannot be used.
    """
    scheme = urlsplit(url).scheme
    if is_excepted(url, settings.get("no", "")):
        return None
    for name in (scheme, "all"):
        if settings.get(name):
            return _proxy(f"{name.upper()}_PROXY", settings[name])
    return None


def is_excepted(url: str, no_proxy: str) -> bool:
    """Tell whether NO_PROXY names the URL's host, as the agent's HTTP library reads it."""
    entries = [entry.strip() for entry in no_proxy.split(",")]
    return any(entry == "*" or (entry and _matches(url, entry)) for entry in entries)


def _matches(url: str, entry: str) -> bool:
    wanted, is_url = urlsplit(url), "://" in entry
    try:
        # A bare IPv6 address has no brackets.
        named = urlsplit(entry if is_url else f"all://{_bracketed(entry)}")
        port, host = _unusual_port(named), (named.hostname or "").lower()
    except ValueError:
        return False
    if named.scheme not in {"all", wanted.scheme}:
        return False
    if port is not None and port != _unusual_port(wanted):
        return False
    return _is_host(wanted.hostname or "", host, exactly=is_url or _is_exact(host))


def _unusual_port(parts: SplitResult) -> int | None:
    # The library forgets a port that is the scheme's own: "host:443" never names an https URL.
    return None if parts.port == _PORTS.get(parts.scheme) else parts.port


def _is_exact(host: str) -> bool:
    return host == "localhost" or ":" in host or re.fullmatch(r"[0-9.]+", host) is not None


def _is_host(host: str, named: str, *, exactly: bool) -> bool:
    if exactly:
        return host == named
    # ".example.com" means what is below it, "example.com" also the name itself.
    return host.endswith(named if named.startswith(".") else f".{named}") or host == named


def _bracketed(entry: str) -> str:
    return f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry


def _proxy(setting: str, text: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or _PROXY_PORTS.get(parts.scheme, 1080)
    except ValueError as error:
        raise BadProxyError(setting) from error
    if not parts.hostname:
        raise BadProxyError(setting)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(setting, parts.scheme, parts.hostname, port, authorization)
