"""The primary address and the inventory of interfaces."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rollcall_agent.facts import interfaces
from rollcall_agent.facts.address_dump import lasting_addresses
from rollcall_agent.facts.outbound import IPV4, IPV6, Target, primary_address

from tests.unit.agent.facts.fake_host import dumped, fails, host, interface, put, routed

MAC = "00:11:22:33:44:55"
OF_MAC = "fe80::211:22ff:fe33:4455"


def told(found: dict[str, object]) -> dict[str, Any]:
    listed = found["interfaces"]
    assert isinstance(listed, list)
    return {one["name"]: one for one in listed}


def test_the_primary_address_is_the_one_towards_the_documented_target() -> None:
    asked: list[Target] = []

    def connected(target: Target) -> str:
        asked.append(target)
        return "192.168.1.100"

    assert primary_address(connected) == "192.168.1.100"
    assert asked == [(socket.AF_INET, "8.8.8.8", 80)]


def test_without_a_route_for_ipv4_the_primary_address_is_the_one_of_ipv6() -> None:
    assert primary_address(routed("2001:db8::1", IPV6[0])) == "2001:db8::1"


@pytest.mark.parametrize("answer", ["0.0.0.0", "127.0.0.1", "", "junk"])  # noqa: S104
def test_an_address_that_leads_nowhere_is_none(answer: str) -> None:
    assert primary_address(routed(answer, IPV4[0])) is None


def test_without_any_route_there_is_no_primary_address(tmp_path: Path) -> None:
    assert primary_address(fails) is None
    assert interfaces.primary(host(tmp_path)) == {"primary_address": None}


def test_an_address_that_shows_the_hardware_is_not_told(tmp_path: Path) -> None:
    found = host(tmp_path, connected=routed("2001:db8::211:22ff:fe33:4455", IPV6[0]))
    assert interfaces.primary(found) == {"primary_address": None}


def test_an_interface_is_told_with_flags_counters_and_addresses(tmp_path: Path) -> None:
    interface(tmp_path, "enp130s0f0", 2, sent=1073741824, received=2147483648)
    found = host(
        tmp_path,
        connected=routed("192.168.1.100"),
        addresses=lambda: dumped((2, "192.168.1.100", 0x80), (2, "2001:db8::1", 0x80)),
    )
    assert interfaces.inventory(found)["interfaces"] == [
        {
            "name": "enp130s0f0",
            "is_management": True,
            "is_loopback": False,
            "is_virtual": False,
            "is_wireless": False,
            "is_up": True,
            "bytes_sent": 1073741824,
            "bytes_received": 2147483648,
            "addresses": ["192.168.1.100", "2001:db8::1"],
        }
    ]


@pytest.mark.parametrize(
    "name",
    ["docker0", "veth12ab", "br-0f1e", "virbr0", "tun0", "tap0", "wg0", "cni0", "flannel.1"],
)
def test_an_interface_of_such_a_name_is_virtual_whatever_the_kernel_says(
    tmp_path: Path, name: str
) -> None:
    interface(tmp_path, name, 2, device=True)
    assert told(interfaces.inventory(host(tmp_path)))[name]["is_virtual"] is True


def test_an_interface_without_a_device_is_virtual(tmp_path: Path) -> None:
    interface(tmp_path, "eth0", 2, device=True)
    interface(tmp_path, "eth0.100", 3, device=False)
    found = told(interfaces.inventory(host(tmp_path)))
    assert [found["eth0"]["is_virtual"], found["eth0.100"]["is_virtual"]] == [False, True]


def test_the_loopback_is_known_by_its_name_or_by_its_type(tmp_path: Path) -> None:
    interface(tmp_path, "lo", 1, device=False)
    interface(tmp_path, "eth9", 2)
    put(tmp_path, "/sys/class/net/eth9/type", "772\n")
    found = told(interfaces.inventory(host(tmp_path)))
    for name in ("lo", "eth9"):
        assert (found[name]["is_loopback"], found[name]["is_virtual"]) == (True, True)


def test_a_radio_is_known_by_its_folder_or_by_its_name(tmp_path: Path) -> None:
    for number, name in enumerate(("eth0", "ra0", "wlan0"), start=2):
        interface(tmp_path, name, number)
    (tmp_path / "sys/class/net/ra0/wireless").mkdir()
    found = told(interfaces.inventory(host(tmp_path)))
    wireless = {name: one["is_wireless"] for name, one in found.items()}
    assert wireless == {"eth0": False, "ra0": True, "wlan0": True}


def test_an_interface_is_up_by_its_flags_or_else_by_its_state(tmp_path: Path) -> None:
    interface(tmp_path, "eth0", 2, flags="0x1002")
    interface(tmp_path, "eth1", 3, flags="0x1003")
    interface(tmp_path, "eth2", 4, flags="")
    put(tmp_path, "/sys/class/net/eth2/operstate", "up\n")
    found = told(interfaces.inventory(host(tmp_path)))
    assert {name: one["is_up"] for name, one in found.items()} == {
        "eth0": False, "eth1": True, "eth2": True,
    }  # fmt: skip


def test_no_mac_address_is_told_in_the_clear(tmp_path: Path) -> None:
    interface(tmp_path, "enx001122334455", 2)
    interface(tmp_path, "enx00112233445f", 3)
    found = host(
        tmp_path,
        addresses=lambda: dumped((2, OF_MAC, 0x80), (2, "10.0.0.1", 0x80)),
    )
    document = interfaces.inventory(found)
    assert told(document)["enx-1"]["addresses"] == ["10.0.0.1"]
    assert "enx-2" in told(document)
    text = json.dumps(document).replace(":", "")
    assert "001122334455" not in text
    assert "22fffe33" not in text


def test_addresses_that_change_by_themselves_are_left_out() -> None:
    temporary, deprecated, tentative, secondary = 0x01, 0x20, 0x40, 0x01
    content = dumped(
        (2, "2001:db8::1", 0),
        (2, "2001:db8::2", temporary),
        (2, "2001:db8::3", deprecated),
        (3, "2001:db8::4", tentative),
        (3, "10.0.0.2", secondary),
    )
    assert lasting_addresses(content) == {2: ["2001:db8::1"], 3: ["10.0.0.2"]}


@pytest.mark.parametrize("length", range(0, 60, 3))
def test_a_dump_that_was_cut_short_is_read_as_far_as_it_goes(length: int) -> None:
    assert lasting_addresses(dumped((2, "10.0.0.2", 0))[:length]).keys() <= {2}
    assert lasting_addresses(b"\0" * length) == {}


def test_without_the_kernels_dump_there_is_an_inventory_without_addresses(tmp_path: Path) -> None:
    interface(tmp_path, "eth0", 2)
    assert told(interfaces.inventory(host(tmp_path)))["eth0"]["addresses"] == []


def test_of_too_many_interfaces_those_that_matter_are_told(tmp_path: Path) -> None:
    for number in range(70):
        interface(tmp_path, f"br-{number:02}", number + 10, device=False)
    interface(tmp_path, "zeth", 2)
    interface(tmp_path, "tun9", 3, device=False)
    found = host(
        tmp_path, connected=routed("10.8.0.1"), addresses=lambda: dumped((3, "10.8.0.1", 0))
    )
    names = list(told(interfaces.inventory(found)))
    assert len(names) == 64
    assert names[:3] == ["tun9", "zeth", "br-00"]


class FakePsutil:
    """What psutil says on a Mac."""

    def net_if_addrs(self) -> dict[str, list[SimpleNamespace]]:
        link = 18
        return {
            "en0": [
                SimpleNamespace(family=socket.AF_INET, address="10.0.0.5"),
                SimpleNamespace(family=socket.AF_INET6, address="fe80::1c0:1%en0"),
                SimpleNamespace(family=link, address=MAC),
            ],
            "lo0": [SimpleNamespace(family=socket.AF_INET, address="127.0.0.1")],
            "utun3": [],
        }

    def net_if_stats(self) -> dict[str, SimpleNamespace]:
        return {"en0": SimpleNamespace(isup=True), "lo0": SimpleNamespace(isup=True)}

    def net_io_counters(self, *, pernic: bool) -> dict[str, SimpleNamespace]:
        assert pernic
        return {"en0": SimpleNamespace(bytes_sent=1, bytes_recv=2)}


def test_outside_linux_the_inventory_is_psutils(tmp_path: Path) -> None:
    found = told(
        interfaces.inventory(
            host(
                tmp_path,
                platform="darwin",
                psutil=FakePsutil,
                connected=routed("10.0.0.5"),
            )
        )
    )
    assert found["en0"] == {
        "name": "en0",
        "is_management": True,
        "is_loopback": False,
        "is_virtual": False,
        "is_wireless": False,
        "is_up": True,
        "bytes_sent": 1,
        "bytes_received": 2,
        "addresses": ["10.0.0.5", "fe80::1c0:1"],
    }
    assert (found["lo0"]["is_loopback"], found["lo0"]["is_virtual"]) == (True, True)
    assert (found["utun3"]["is_virtual"], found["utun3"]["is_up"]) == (True, False)
    assert "bytes_sent" not in found["utun3"]
