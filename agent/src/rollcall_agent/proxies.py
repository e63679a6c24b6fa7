"""Which proxies of the environment the agent goes through.

httpx would read them itself, but it ends the process at an entry that it does not understand, and
its message quotes the proxy's URL, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies

from rollcall_agent.doctor.servers import is_excepted
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.lean import httpx
from rollcall_agent.urls import is_loopback

_SCHEMES = ("http", "https", "all")

Mounts = dict[str, httpx.BaseTransport | None]


class _Unusable(httpx.BaseTransport):
    """A proxy that cannot be used, and that the control plane's own URL does not need."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse: going past a proxy that somebody set is not the agent's to decide."""
        raise httpx.ProxyError("the proxy of the environment cannot be used", request=request)


def mounts_for(
    url: str,
    through: Callable[[httpx.Proxy], httpx.BaseTransport],
    settings: Mapping[str, str] | None = None,
) -> Mounts:
    """Return httpx's mounts for a client whose requests begin at a URL.

    Args:
        url: Where the requests go to first. One on this host itself needs no proxy: it would look
            for "localhost" on its own side.
        through: Makes the transport that goes through a proxy.
        settings: By scheme, and `no` for NO_PROXY; None takes those of the environment.

    Raises:
        AgentError: The proxy that applies to the URL cannot be used.
    """
    found = getproxies() if settings is None else settings
    excepted = found.get("no", "")
    entries = [entry.strip() for entry in excepted.split(",")]
    if is_loopback(url) or "*" in entries:
        return {}
    applies = None
    if not is_excepted(url, excepted):
        applies = next((name for name in (urlsplit(url).scheme, "all") if found.get(name)), None)
    mounts: Mounts = {}
    for name in _SCHEMES:
        if found.get(name):
            mounts[f"{name}://"] = _transport(name, found[name], through, is_needed=name == applies)
    # An entry that names nothing is left out, as other programs do.
    return mounts | {pattern: None for pattern in map(_pattern, entries) if _is_usable(pattern)}


def _transport(
    name: str,
    text: str,
    through: Callable[[httpx.Proxy], httpx.BaseTransport],
    *,
    is_needed: bool,
) -> httpx.BaseTransport:
    try:
        proxy = httpx.Proxy(text if "://" in text else f"http://{text}")
        if proxy.url.host:
            return through(proxy)
        why = "it holds no URL of a proxy"
    except ImportError:
        why = "SOCKS is not supported"
    except (ValueError, httpx.InvalidURL):
        why = "it holds no URL of a proxy"
    if not is_needed:
        return _Unusable()
    setting = f"{name.upper()}_PROXY"
    # The URL may hold a password, and is not shown.
    raise AgentError(
        f"{setting} cannot be used: {why}. Next: correct it (http://host:port), take it out of the "
        "environment, or name the control plane's host in NO_PROXY.",
        ExitCode.USAGE,
    )


def _pattern(entry: str) -> str:
    """Return how httpx writes an entry of NO_PROXY; empty for an empty one."""
    if not entry or "://" in entry:
        return entry
    host = entry[1:-1] if entry.startswith("[") and entry.endswith("]") else entry
    if host.count(":") > 1:
        return f"all://[{host}]"
    if host.lower() == "localhost" or not host.strip("0123456789.:"):
        return f"all://{host}"
    return f"all://*{host}"


def _is_usable(pattern: str) -> bool:
    try:
        return bool(pattern) and bool(httpx.URL(pattern).host)
    except (ValueError, httpx.InvalidURL):
        return False
