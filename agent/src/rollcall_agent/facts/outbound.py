"""The primary address: the one that this host speaks from to the rest of the world."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final

Target = tuple[int, str, int]

# No packet is sent: connecting a datagram socket only makes the kernel choose a route.
IPV4: Final[Target] = (socket.AF_INET, "8.8.8.8", 80)
IPV6: Final[Target] = (socket.AF_INET6, "2001:4860:4860::8888", 80)


def connected(target: Target) -> str:
    """Return the address that the kernel would use towards a target."""
    family, address, port = target
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, port))
        return str(probe.getsockname()[0])


def primary_address(connect: Callable[[Target], str]) -> str | None:
    """Return the primary address, IPv4 first; None where no route leads out."""
    for target in (IPV4, IPV6):
        try:
            address = ipaddress.ip_address(connect(target).partition("%")[0])
        except (OSError, ValueError):
            continue
        if not (address.is_unspecified or address.is_loopback):
            return str(address)
    return None


def shows_hardware(address: str) -> bool:
    """Tell whether an IPv6 address was made from a MAC address, which it then shows."""
    parsed = ipaddress.ip_address(address)
    return parsed.version == 6 and parsed.packed[11:13] == b"\xff\xfe"  # noqa: PLR2004
