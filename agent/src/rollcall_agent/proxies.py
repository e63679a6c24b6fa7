"""Which proxies of the environment the agent goes through, and how it says that one is unusable."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from rollcall_client.lean import httpx
from rollcall_client.proxies import Routed, UnusableProxyError

from rollcall_agent.exits import AgentError, ExitCode

# Longer than the usual interval, so that beats share a connection.
LIMITS: Final = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=90)


def routed(
    url: str, tls: ssl.SSLContext | None, settings: Mapping[str, str] | None = None
) -> Routed:
    """Return the transport for requests that begin at a URL.

    Args:
        url: where the requests go to first.
        tls: which CAs are believed; None stands for the public ones.
        settings: the proxies by scheme, and `no` for NO_PROXY; None takes those of the environment.

    Raises:
        AgentError: the proxy that applies to the URL cannot be used.
    """

    def connect(proxy: httpx.Proxy | None) -> httpx.BaseTransport:
        return httpx.HTTPTransport(verify=tls or True, limits=LIMITS, proxy=proxy)

    try:
        return Routed(url, connect, settings)
    except UnusableProxyError as error:
        line = error.line
    # Not from within: a traceback would show the error before it, and that one the proxy's URL.
    raise AgentError(line, ExitCode.USAGE)
