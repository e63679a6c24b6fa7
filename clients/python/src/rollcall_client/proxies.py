"""The way of each request: through a proxy of the environment, or directly.

httpx would read the environment itself, but it ends the process at an entry of NO_PROXY that it
does not understand, knows no networks, and quotes a proxy's URL, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from rollcall_client.lean import httpx
from rollcall_client.loopback import is_loopback
from rollcall_client.no_proxy import bypasses

_SCHEMES: Final = ("http", "https", "all")

Connect = Callable[[httpx.Proxy | None], httpx.BaseTransport]


class UnusableProxyError(ValueError):
    """The proxy that applies to a URL cannot be used.

    Attributes:
        line: what is wrong and what to do. The proxy's URL is not part of it: it may hold a
            password.
    """

    def __init__(self, scheme: str, why: str) -> None:
        self.line = (
            f"{scheme.upper()}_PROXY cannot be used: {why}. Next: correct it (http://host:port), "
            "take it out of the environment, or name the control plane's host in NO_PROXY."
        )
        super().__init__(self.line)


class Routed(httpx.BaseTransport):
    """A transport that chooses the way of each request by the host that it goes to.

    A request to this host itself goes directly: a proxy would look for "localhost" on its own side.

    Args:
        first_url: where the requests begin, checked already. Others may follow, to the object store
            for example, and each takes the way of its own host.
        connect: makes the transport through a proxy, or the direct one for None.
        settings: the proxies by scheme, and `no` for NO_PROXY; None takes those of the environment.

    Raises:
        UnusableProxyError: the proxy that applies to the first URL cannot be used.
    """

    def __init__(
        self, first_url: str, connect: Connect, settings: Mapping[str, str] | None = None
    ) -> None:
        self._settings = getproxies() if settings is None else settings
        self._ways: dict[str | None, httpx.BaseTransport] = {None: connect(None)}
        needed = proxy_scheme(first_url, self._settings)
        for scheme in _SCHEMES:
            if self._settings.get(scheme):
                self._ways[scheme] = self._through(scheme, connect, is_needed=scheme == needed)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on its way."""
        return self._ways[proxy_scheme(str(request.url), self._settings)].handle_request(request)

    def close(self) -> None:
        """Close the connections of every way."""
        for way in self._ways.values():
            way.close()

    def _through(self, scheme: str, connect: Connect, *, is_needed: bool) -> httpx.BaseTransport:
        text = self._settings[scheme]
        try:
            proxy = httpx.Proxy(text if "://" in text else f"http://{text}")
            if proxy.url.host:
                return connect(proxy)
            why = "it holds no URL of a proxy"
        except ImportError:
            why = "SOCKS is not supported"
        except (ValueError, httpx.InvalidURL):
            why = "it holds no URL of a proxy"
        if not is_needed:
            return _Unusable()
        self.close()
        raise UnusableProxyError(scheme, why)


def proxy_scheme(url: str, settings: Mapping[str, str]) -> str | None:
    """Return which setting names the proxy of a URL; None where the request goes directly.

    Args:
        url: with scheme and host.
        settings: as `urllib.request.getproxies` finds them.
    """
    if is_loopback(url) or bypasses(url, settings.get("no", "")):
        return None
    return next((name for name in (urlsplit(url).scheme, "all") if settings.get(name)), None)


class _Unusable(httpx.BaseTransport):
    """A proxy that cannot be used, and that the first URL does not need."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse: the program must not go past a proxy that was set."""
        raise httpx.ProxyError("the proxy of the environment cannot be used", request=request)
