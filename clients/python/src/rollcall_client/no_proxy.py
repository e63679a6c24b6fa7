"""Which URLs NO_PROXY excepts from the proxies of the environment.

The rules are those of curl 8 (``lib/noproxy.c``): a name means itself and everything below it, with
or without a dot in front; a dot at the end and upper and lower case do not matter; an address
matches addresses alone, by itself or as a network in CIDR notation; ``*`` means every host. Other
programs know more, so these are understood as well: blanks between entries as well as commas,
``*.domain`` (what is below it, without itself), ``host:port``, a scheme in front, brackets around
an IPv6 address, ``*`` among other entries, and networks of 0 bits. An entry that means nothing is
ignored.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_SEPARATORS: Final = re.compile(r"[,\s]+")
_PORTS: Final = {"http": 80, "https": 443}
_LARGEST_PORT: Final = 65535
# [address] or [address]/bits, perhaps with a port; a bare address has two colons or more.
_BRACKETED: Final = re.compile(r"\[([^][]*)\](/[0-9]+)?(?::([0-9]+))?")
_NAMED: Final = re.compile(r"([^:]+)(?::([0-9]+))?")
_NETWORK: Final = re.compile(r"[0-9a-f.:]+(?:/[0-9]{1,3})?")
_WITH_SCHEME: Final = re.compile(r"([a-z]+)://([^/?#]*)/?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class _Target:
    """What a request goes to.

    Attributes:
        host: in lower case, without a dot at its end.
        address: the host, where it is an address.
    """

    scheme: str
    host: str
    port: int | None
    address: Address | None


def bypasses(url: str, no_proxy: str) -> bool:
    """Tell whether a request to a URL goes past the proxies.

    Args:
        url: with scheme and host; the port is the scheme's own where the URL names none.
        no_proxy: the value of NO_PROXY, in any form.
    """
    target = _target(url)
    if target is None:
        return False
    entries = filter(None, _SEPARATORS.split(no_proxy.lower()))
    return any(_matches(target, entry) for entry in entries)


def _target(url: str) -> _Target | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    # An address may name the interface that it belongs to: fe80::1%eth0.
    address = _address(host.partition("%")[0])
    host = host.removesuffix(".")
    if not host:
        return None
    return _Target(parts.scheme, host, port or _PORTS.get(parts.scheme), address)


def _matches(target: _Target, entry: str) -> bool:
    if entry == "*":
        return True
    if "://" in entry:
        with_scheme = _WITH_SCHEME.fullmatch(entry)
        if with_scheme is None or with_scheme[1] not in {"all", target.scheme}:
            return False
        entry = with_scheme[2]
    host, port = _host_and_port(entry)
    if port is not None and port != target.port:
        return False
    if target.address is not None:
        return _contains(host, target.address)
    return _names(host, target.host)


def _host_and_port(entry: str) -> tuple[str, int | None]:
    """Take an entry apart; one that has not this form names no host."""
    if entry.count(":") > 1 and not entry.startswith("["):
        return entry, None
    if bracketed := _BRACKETED.fullmatch(entry):
        host, port = bracketed[1] + (bracketed[2] or ""), bracketed[3]
    elif named := _NAMED.fullmatch(entry):
        host, port = named[1], named[2]
    else:
        return "", None
    if port is None:
        return host, None
    # More digits than a port has would cost time to no end.
    number = int(port) if len(port) <= len(str(_LARGEST_PORT)) else 0
    return (host, number) if 0 < number <= _LARGEST_PORT else ("", None)


def _contains(network: str, address: Address) -> bool:
    if _NETWORK.fullmatch(network) is None:
        return False
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _names(entry: str, host: str) -> bool:
    name = entry.removesuffix(".")
    is_below_only = name.startswith("*.")
    name = name.removeprefix("*").removeprefix(".")
    if not name:
        return False
    return host.endswith(f".{name}") or (host == name and not is_below_only)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
