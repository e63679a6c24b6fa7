"""The inventory of network interfaces: what each is, and how much went through it.

MAC addresses are fingerprints of hardware and are left out, also where they hide in the name of
an interface or in an IPv6 address.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall_agent.facts import interface_names as naming
from rollcall_agent.facts.address_dump import lasting_addresses
from rollcall_agent.facts.host import Host
from rollcall_agent.facts.outbound import primary_address, shows_hardware

MOST_INTERFACES: Final = 64
MOST_ADDRESSES: Final = 16
BYTES_SENT: Final = "bytes_sent"
BYTES_RECEIVED: Final = "bytes_received"
_NET: Final = "/sys/class/net"
_LOOPBACK_TYPE: Final = 772
_UP: Final = 0x1


@dataclass(frozen=True)
class Interface:
    """One interface, as the system knows it."""

    name: str
    is_loopback: bool
    is_virtual: bool
    is_wireless: bool
    is_up: bool
    sent: int | None
    received: int | None
    addresses: tuple[str, ...]

    def fact(self, shown: str, primary: str | None) -> dict[str, object]:
        """Return what is told of it."""
        counters = {BYTES_SENT: self.sent, BYTES_RECEIVED: self.received}
        told = sorted(address for address in self.addresses if not shows_hardware(address))
        return {
            "name": shown,
            "is_management": primary in self.addresses,
            "is_loopback": self.is_loopback,
            "is_virtual": self.is_virtual,
            "is_wireless": self.is_wireless,
            "is_up": self.is_up,
            **{name: value for name, value in counters.items() if value is not None},
            "addresses": told[:MOST_ADDRESSES],
        }


def primary(host: Host) -> dict[str, object]:
    """Return the primary address."""
    address = primary_address(host.connected)
    return {"primary_address": None if address is None or shows_hardware(address) else address}


def inventory(host: Host) -> dict[str, object]:
    """Return the interfaces, what matters most first."""
    address = primary_address(host.connected)
    found = _of_linux(host) if host.is_linux else _of_psutil(host)
    shown = naming.shown_names(one.name for one in found)

    def order(one: Interface) -> tuple[bool, bool, bool, str]:
        return address not in one.addresses, one.is_virtual, naming.is_passing(one.name), one.name

    told = [one.fact(shown[one.name], address) for one in sorted(found, key=order)]
    return {"interfaces": told[:MOST_INTERFACES]}


def _of_linux(host: Host) -> list[Interface]:
    by_index = _addresses(host)
    return [_from_sys(host, name, by_index) for name in host.names_in(_NET)]


def _addresses(host: Host) -> Mapping[int, list[str]]:
    # Without the addresses the inventory is still worth having.
    try:
        return lasting_addresses(host.addresses())
    except OSError:
        return {}


def _from_sys(host: Host, name: str, addresses: Mapping[int, list[str]]) -> Interface:
    folder = f"{_NET}/{name}"
    is_loopback = name == "lo" or host.number(f"{folder}/type") == _LOOPBACK_TYPE
    has_device = host.at(f"{folder}/device").exists()
    has_radio = any(host.at(f"{folder}/{radio}").exists() for radio in ("wireless", "phy80211"))
    return Interface(
        name=name,
        is_loopback=is_loopback,
        is_virtual=is_loopback or naming.is_virtual(name) or not has_device,
        is_wireless=has_radio or naming.is_wireless(name),
        is_up=_is_up(host, folder),
        sent=host.number(f"{folder}/statistics/tx_bytes"),
        received=host.number(f"{folder}/statistics/rx_bytes"),
        addresses=tuple(addresses.get(host.number(f"{folder}/ifindex") or 0, ())),
    )


def _is_up(host: Host, folder: str) -> bool:
    try:
        return bool(int(host.text(f"{folder}/flags"), 16) & _UP)
    except ValueError:
        return host.text(f"{folder}/operstate").strip() == "up"


def _of_psutil(host: Host) -> list[Interface]:
    psutil = host.psutil()
    states, counters = psutil.net_if_stats(), psutil.net_io_counters(pernic=True)
    found = []
    for name, entries in psutil.net_if_addrs().items():
        addresses = _plain_addresses(entries)
        is_loopback = any(address in {"127.0.0.1", "::1"} for address in addresses)
        counted = counters.get(name)
        found.append(
            Interface(
                name=name,
                is_loopback=is_loopback,
                is_virtual=is_loopback or naming.is_virtual(name),
                is_wireless=naming.is_wireless(name),
                is_up=bool(getattr(states.get(name), "isup", False)),
                sent=int(counted.bytes_sent) if counted else None,
                received=int(counted.bytes_recv) if counted else None,
                addresses=addresses,
            )
        )
    return found


def _plain_addresses(entries: Any) -> tuple[str, ...]:  # noqa: ANN401 - psutil's own tuples
    # What is neither IPv4 nor IPv6 is the MAC address.
    return tuple(
        str(entry.address).partition("%")[0]
        for entry in entries
        if entry.family in {socket.AF_INET, socket.AF_INET6}
    )
