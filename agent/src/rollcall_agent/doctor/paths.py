"""Name resolution and the proxy: how the control plane's host is found."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

from rollcall_client.loopback import is_loopback
from rollcall_client.no_proxy import bypasses

from rollcall_agent.doctor.check import Check, failed, ok, skipped, warning
from rollcall_agent.doctor.servers import BadProxyError, Proxy, Server, proxy_for
from rollcall_agent.doctor.wire import Network, ProxyRefusedError, UnreachableError

DNS: Final = "dns"
PROXY: Final = "proxy"
_MOST_SHOWN: Final = 4
_WANTS_PASSWORD: Final = 407


def check_dns(network: Network, server: Server, proxy: Proxy | None) -> Check:
    """Look the control plane's name up."""
    if proxy is not None:
        return skipped(DNS, f"The proxy looks {server.host} up, not this host")
    if _is_address(server.host):
        return skipped(DNS, f"{server.host} is an address")
    try:
        found = network.resolve(server.host, server.port)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return failed(
                DNS,
                f"{server.host} could not be looked up: no name server answered",
                "check /etc/resolv.conf, and whether this host reaches its name servers",
            )
        return failed(
            DNS,
            f"There is no host of the name {server.host}",
            "check the host in ROLLCALL_API_BASE_URL, letter by letter",
        )
    shown = ", ".join(found[:_MOST_SHOWN]) + (", ..." if len(found) > _MOST_SHOWN else "")
    return ok(DNS, f"{server.host} is {shown}")


def check_proxy(
    network: Network, server: Server, settings: Mapping[str, str]
) -> tuple[Check, Proxy | None]:
    """Find the proxy that applies, and ask it for a connection."""
    if is_loopback(server.url):
        return ok(PROXY, "None: the control plane is this host itself"), None
    try:
        proxy = proxy_for(server.url, settings)
    except BadProxyError as error:
        return _bad_proxy(error), None
    if proxy is None:
        excepted = bypasses(server.url, settings.get("no", ""))
        return ok(PROXY, "None applies" + (" (NO_PROXY names the host)" if excepted else "")), None
    if proxy.scheme.startswith("socks"):
        todo = f"name an http:// proxy in {proxy.setting}, or {server.host} in NO_PROXY"
        return failed(PROXY, f"{proxy.shown} applies, and the agent cannot use SOCKS", todo), proxy
    if proxy.scheme != "http":
        todo = "if the lines below fail, try with an http:// proxy, or with NO_PROXY"
        what = f"{proxy.shown} applies, and the doctor does not look through such a proxy"
        return warning(PROXY, what, todo), proxy
    return _asked(network, server, proxy), proxy


def _asked(network: Network, server: Server, proxy: Proxy) -> Check:
    try:
        network.connect(server, proxy)
    except UnreachableError as error:
        return failed(
            PROXY,
            f"{proxy.shown} applies and cannot be reached: {error.reason}",
            f"correct the proxy's URL, or name {server.host} in NO_PROXY",
        )
    except ProxyRefusedError as error:
        if error.status == _WANTS_PASSWORD:
            todo = f"put user name and password into {proxy.setting} (http://user:password@host)"
            return failed(PROXY, f"{proxy.shown} wants a user name and a password", todo)
        return failed(
            PROXY,
            f"{proxy.shown} refuses to connect to {server.address} (HTTP {error.status})",
            f"have {server.address} allowed on the proxy, or name {server.host} in NO_PROXY",
        )
    return ok(PROXY, f"{proxy.shown} applies and answers")


def _bad_proxy(error: BadProxyError) -> Check:
    # The URL may hold a password, and is not shown.
    return failed(
        PROXY,
        f"{error.setting} holds no URL of a proxy",
        f"correct {error.setting} (http://host:port), or take it out of the environment",
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
