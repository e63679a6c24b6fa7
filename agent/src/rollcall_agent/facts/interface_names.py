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
# systemd names an adapter after its MAC address where it knows nothing better (enx001122334455).
_MAC_NAME: Final = re.compile(r"(enx|wlx|wwx|slx|ibx)[0-9a-f]{12}")


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
        hidden = _MAC_NAME.fullmatch(name)
        if hidden:
            kind = hidden.group(1)
            numbers[kind] = numbers.get(kind, 0) + 1
            shown[name] = f"{kind}-{numbers[kind]}"
        else:
            shown[name] = fact(name, LONGEST_NAME)
    return shown
