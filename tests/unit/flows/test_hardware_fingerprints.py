"""Which members and which texts tell a piece of hardware from all others, and which do not."""

import pytest

from chalicelib.flows.facts_document import kept
from chalicelib.flows.hardware_fingerprints import is_fingerprint, is_machine_id, masked

ADDRESSES = [
    "aa:bb:cc:dd:ee:ff", "AA:BB:CC:DD:EE:FF", "00:11:22:33:44:55", "aa-bb-cc-dd-ee-ff",
    "00-11-22-33-44-55", "Aa:bB-cC:Dd-eE:fF", "aabb.ccdd.eeff", "AABB.CCDD.EEFF", "0011.2233.4455",
    "aabb:ccdd:eeff", "aabb-ccdd-eeff", "aabbcc-ddeeff", "aabbcc:ddeeff", "aabbccddeeff",
    "AABBCCDDEEFF", "0a1b2c3d4e5f", "0xaabbccddeeff", "aa bb cc dd ee ff", "AA BB CC DD EE FF",
    "00 1b 44 11 3a b7", "aa.bb.cc.dd.ee.ff", "aa_bb_cc_dd_ee_ff", "aa:bb cc.dd-ee:ff",
    "0:c:29:ab:d:e", "00:11:22:ff:fe:33:44:55", "50:06:01:60:3b:a0:11:22", "00112233ff445566",
    "0011.22ff.fe33.4455", "0x500601603ba01122", "wwn-0x5000c500a1b2c3d4", "naa.5000c500a1b2c3d4",
    "eui.0025385b71b00001", "iqn.1993-08.org.debian:01:abcdef123456", "enx0011223344ff",
    "nqn.2014-08.org.nvmexpress:uuid:4c4c4544-0051-3510-8052-b4c04f4a5931",
    "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:a4:b8:72",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_masked_however_it_is_spelt_and_wherever_it_stands(address: str) -> None:
    whole = ("{}", "nic {} up", "({})", "'{}',", "x\t{}", "{}, eth0")
    for text in (one.format(address) for one in whole):
        shown = masked(text)
        assert address not in shown, text
        assert "**" in shown
    assert address not in str(kept({"deep": [{address: {"note": address}}]}, None))


@pytest.mark.parametrize(
    "label", ["mac ", "MAC: ", "mac=", "link/ether ", "hwaddr ", "bssid:", "perm_mac=", "lladdr "]
)
def test_after_a_word_that_says_so_digits_alone_are_an_address(label: str) -> None:
    for address in ("001122334455", "aabbccddeeff", "aa:bb:cc:dd:ee:ff", "AABB.CCDD.EEFF"):
        assert address not in masked(f"eth0 {label}{address} up")


OTHERS = [
    "da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c",
    "commit 1a2b3c4d5e6f", "1a2b3c4", "6.1.0-g1a2b3c4d5e6f", "5.15.0-1034-aws",
    "1.2.3+1a2b3c4d5e6f",
    "2026.11.22", "2026-11-22-10-11-12", "2026-11-22T10:11:12Z", "10:11:12", "1.2.3.4.5.6",
    "10.20.30.40", "10.20.30.40.50.60", "2001:db8::1", "fe80::1ff:fe23:4567:890a",
    "2001:db8:11:22:33:44:55:66", "fd00:aa:bb:cc:dd:ee:ff:11", "::ffff:10.0.0.1", "fe80::1%eth0/64",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-44665544AAFF", "account 123456789012", "202611221011",
    "order 001122334455", "10 20 30 40 50 60", "br-1a2b3c4d5e6f", "docker-3f4e5d6c7b8a.scope",
    "veth1a2b3c4", "sha256:1a2b3c4d5e6f", "4111-1111-1111", "Intel(R) Xeon(R) E5-2686 v4 @ 2.30GHz",
    "decade facade", "a b c d e f", "ext4", "/dev/nvme0n1p1", "1234567890123456", "00:11:22:33:44",
]  # fmt: skip


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_address_stays_as_it_is(text: str) -> None:
    for whole in (text, f"is {text}", f"({text})", f"{text}, up"):
        assert masked(whole) == whole


@pytest.mark.parametrize(
    "member", ["hostname", "commit", "git_sha", "containerId", "image", "agent_version", "build"]
)
def test_a_member_may_say_that_its_value_is_another_identifier(member: str) -> None:
    assert kept({member: "1a2b3c4d5e6f"}, None) == {member: "1a2b3c4d5e6f"}
    assert "aa:bb" not in str(kept({member: "aa:bb:cc:dd:ee:ff"}, None))


@pytest.mark.parametrize(
    "name",
    [
        "mac", "MAC", "macs", "perm_mac", "permMac", "perm-mac", "wifi mac", "mac0", "mac_address",
        "macAddress", "MACAddress", "hwaddr", "HWaddr", "hw_address", "ether", "link_ether",
        "lladdr", "permaddr", "perm_addr", "permanent_address", "physical-address", "bssid",
        "BSSID", "wlan.bssid", "wwn", "WWN", "port_wwn", "wwpn", "node_wwnn", "wwid", "eui64",
        "nguid", "iqn", "initiator_name", "nqn", "serial", "serial_number", "serialNumber",
        "serialno", "serial_no", "disk_serial", "chassis_sn", "uuid", "product_uuid",
        "systemUUID", "MachineGuid", "imei", "service_tag", "asset_tag", "diskserial", "duid",
    ],
)  # fmt: skip
def test_a_member_of_this_name_is_left_out(name: str) -> None:
    assert is_fingerprint(name)
    assert kept({name: "x", "os": "y"}, None) == {"os": "y"}


@pytest.mark.parametrize(
    "name",
    [
        "macos", "mac_os_version", "machine", "hmac", "ethernet", "ether_type", "address",
        "ip_address", "addresses", "primary_address", "serial_ports", "serial_console", "snap",
        "dns", "version", "hostname", "name", "mount", "kernel", "guide", "macro", "image", "7",
        "", "_", "primary_mac_count",
    ],
)  # fmt: skip
def test_a_member_of_another_name_stays(name: str) -> None:
    assert not is_fingerprint(name)


@pytest.mark.parametrize(
    "name", ["machine_id", "machineId", "machine id", "machine.id", "MACHINE-ID"]
)
def test_a_machine_id_is_one_however_it_is_written(name: str) -> None:
    assert is_machine_id(name)
