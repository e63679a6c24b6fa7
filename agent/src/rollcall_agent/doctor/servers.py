"""Who is spoken to: the control plane's server, and a proxy on the way."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from rollcall_client.proxies import proxy_scheme

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
    name = proxy_scheme(url, settings)
    return None if name is None else _proxy(f"{name.upper()}_PROXY", settings[name])


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
