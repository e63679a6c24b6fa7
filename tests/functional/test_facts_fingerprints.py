"""Facts hold no fingerprint of hardware, whatever a host sends; a machine id is what it is."""

from typing import Any

import pytest

from tests.functional.api import Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.laws.stories import rows_of

ADDRESS = "0011223344ff"
TABLES = ("agent_identities", "agent_presence", "audit_records")


@pytest.fixture
def host(tenant: Tenant) -> Host:
    enrolled = tenant.enroll()
    assert enrolled.beat().status == 200
    return enrolled


def put(host: Host, number: int, facts: dict[str, Any]) -> None:
    host.api.clock.advance(seconds=11)
    answer = host.call("PUT", "/facts", {"facts_sha256": f"{number:064x}", "facts": facts})
    assert answer.status == 200, answer.body


def get(tenant: Tenant, host: Host) -> dict[str, Any]:
    body = tenant.call("GET", f"/agents/{host.agent_id}/facts").body
    assert isinstance(body, dict)
    return body


def same_machine(tenant: Tenant, host: Host) -> list[str]:
    found = tenant.call("GET", f"/agents/{host.agent_id}").body["same_machine"]
    assert isinstance(found, list)
    return found


def test_members_that_are_fingerprints_are_left_out_however_they_are_written(
    tenant: Tenant, host: Host
) -> None:
    names = (
        "mac", "MAC", "mac_address", "macAddress", "mac-address", "hwaddr", "HWaddr", "serial",
        "serial_number", "serialNumber", "serial-number", "disk_serial", "uuid", "product_uuid",
    )  # fmt: skip
    put(host, 1, {"disks": [{"name": "sda", **dict.fromkeys(names, MARK)}], "uuid": {"a": MARK}})
    assert get(tenant, host)["facts"] == {"disks": [{"name": "sda"}]}
    assert not any(MARK in str(rows_of(tenant, table)) for table in TABLES)


def test_addresses_of_interfaces_are_masked_before_anything_is_kept(
    tenant: Tenant, host: Host
) -> None:
    spelt = ("00:11:22:33:44:ff", "00-11-22-33-44-FF")
    for number, up in enumerate((True, False)):
        put(host, number, {
            "interfaces": [{"name": f"enx{ADDRESS}", "up": up}, {"name": "wlx0011223344fe"}],
            "os": f"Debian of {spelt[0]}",
            "by_address": {spelt[0]: up, spelt[1]: not up},
            "note": [f"arp {spelt[1]} up"],
        })  # fmt: skip
    seen = get(tenant, host)
    assert seen["facts"]["interfaces"][0] == {"name": "enx************", "up": False}
    assert seen["facts"]["note"] == ["arp **:**:**:**:**:** up"]
    assert seen["facts"]["by_address"] == {
        "**:**:**:**:**:**": False,
        "**:**:**:**:**:**#2": True,
    }
    assert [change["path"] for change in seen["changes"]] == [
        "by_address.**:**:**:**:**:**",
        "by_address.**:**:**:**:**:**#2",
        "interfaces[enx************].up",
    ]
    everything = str([rows_of(tenant, table) for table in TABLES]).lower()
    assert not any(one.lower() in everything for one in (ADDRESS, "0011223344fe", *spelt))
    assert tenant.call("GET", f"/agents/{host.agent_id}").body["os"].endswith("**")


def test_interfaces_that_are_named_alike_without_their_addresses_are_still_several(
    tenant: Tenant, host: Host
) -> None:
    for number, mtu in enumerate((1500, 9000)):
        put(host, number, {"interfaces": [
            {"name": "enx0011223344ff", "mtu": mtu}, {"name": "enx0011223344fe", "mtu": mtu},
        ]})  # fmt: skip
    assert [change["path"] for change in get(tenant, host)["changes"]] == [
        "interfaces[enx************#2].mtu",
        "interfaces[enx************].mtu",
    ]


@pytest.mark.parametrize("name", ["machineId", "machine-id", "MACHINE_ID", "machineIdSha256"])
def test_a_machine_id_is_one_however_it_is_written(tenant: Tenant, host: Host, name: str) -> None:
    machine = f"{MARK}-machine"
    other = tenant.enroll(machine_id=machine)
    put(host, 1, {name: machine, "deep": {name: machine}})
    assert same_machine(tenant, host) == [other.agent_id]
    assert get(tenant, host)["facts"] == {"deep": {}}
    put(host, 2, {name: f"{MARK}-another", "deep": {name: machine}})
    assert get(tenant, host)["changes"][0]["before"] is None
    assert not any(MARK in str(rows_of(tenant, table)) for table in TABLES)


@pytest.mark.parametrize("blank", ["", "   ", None, "x" * 129, 7, ["x"]])
def test_what_an_exchange_would_not_take_is_no_machine_id(
    tenant: Tenant, host: Host, blank: Any
) -> None:
    other = tenant.enroll(hostname="host-2")
    assert other.beat().status == 200
    for one in (host, other):
        put(one, 1, {"machine_id": blank})
    assert same_machine(tenant, host) == same_machine(tenant, other) == []
    assert not any("agents" in row for row in rows_of(tenant, "agent_identities"))


def test_a_blank_machine_id_of_an_exchange_is_none(tenant: Tenant) -> None:
    hosts = [tenant.enroll(machine_id="  ", hostname=f"host-{n}") for n in range(2)]
    assert [same_machine(tenant, host) for host in hosts] == [[], []]
