"""What the name of an interface tells, and what must not be told of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rollcall_agent.facts.texts import fact

LONGEST_NAME: Final = 64
_VIRTUAL: Final = (
    "lo", "docker", "podman", "veth", "br-", "virbr", "vmbr", "lxcbr", "lxdbr", "vnet", "tun",
    "tap", "utun", "wg", "tailscale", "zt", "cni", "flannel", "cali", "cilium", "lxc",
    "nodelocaldns", "kube-", "vxlan", "geneve", "gre", "sit", "ip6tnl", "ipip", "dummy", "ifb",
    "nlmon", "bridge", "bond", "team", "macvtap", "macvlan", "ovs-", "awdl", "llw", "gif", "stf",
    "anpi",
)  # fmt: skip
# One end of a container's or a virtual machine's cable: it comes and goes with that.
_PASSING: Final = re.compile(r"(veth|cali|vnet|macvtap|lxc(?!br))[0-9A-Za-z_@-]*")
# systemd names an adapter after its MAC address where it knows nothing better (enx001122334455),
# and what is made on top of it has that name in its own (enx001122334455.100, enx…@if2).
_MAC_NAME: Final = re.compile(r"(enx|wlx|wwx|slx|ibx)[0-9a-f]{12}", re.IGNORECASE)
_MAC: Final = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{2}(?:[:._-]?[0-9a-f]{2}){5}(?![0-9a-z])", re.IGNORECASE
)
# The short name of a container network is twelve hex digits, too, and no address.
_NETWORK: Final = re.compile(r"br-[0-9a-f]{12}")


def is_virtual(name: str) -> bool:
    """Tell whether an interface of this name is no hardware."""
    return name.startswith(_VIRTUAL)


def is_wireless(name: str) -> bool:
    """Tell whether an interface of this name is a radio."""
    return name.startswith(("wl", "ath", "Wi-Fi"))


def is_passing(name: str) -> bool:
    """Tell whether the interface will be gone when something else on the host ends."""
    return _PASSING.fullmatch(name) is not None


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Return each interface's name as a fact, without a MAC address in it."""
    shown: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name in sorted(names):
        hidden = _hidden(name)
        if hidden is None:
            shown[name] = fact(name, LONGEST_NAME)
            continue
        before, kind, after = hidden
        numbers[kind] = numbers.get(kind, 0) + 1
        shown[name] = fact(f"{before}{kind}-{numbers[kind]}{after}", LONGEST_NAME)
    return shown


def _hidden(name: str) -> tuple[str, str, str] | None:
    """Return what stands before a MAC address, its kind, and what comes after; None without one."""
    if _NETWORK.fullmatch(name):
        return None
    found = _MAC_NAME.search(name)
    if found is not None:
        return name[: found.start()], found.group(1).lower(), name[found.end() :]
    found = _MAC.search(name)
    return (name[: found.start()], "mac", name[found.end() :]) if found is not None else None
