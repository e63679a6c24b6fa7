"""What was stored of a host under earlier rules is masked by today's before it is used."""

from typing import Any

from chalicelib.flows.facts_document import changes_masked_again, differences, kept, masked_again

STORED: dict[str, Any] = {
    "machine_id": "ab" * 32,
    "kernel": "6.1.0",
    "disks": {"wwn-0x5000c500a1b2c3d4": {"size": 1}, "sda": {"wwn": "0x5000c500a1b2c3d4"}},
    "neighbours": {"aabb.ccdd.eeff": "0011.2233.44ff"},
    "interfaces": [{"name": "eth0", "perm_mac": "aabbccddeeff", "mtu": 1500}],
}
ADDRESSES = ("5000c500a1b2c3d4", "aabb.ccdd", "0011.2233", "aabbccddeeff")


def holds_address(value: object) -> bool:
    return any(address in str(value) for address in ADDRESSES)


def test_facts_of_earlier_rules_are_masked_and_the_machine_id_stays() -> None:
    again = masked_again(STORED)
    assert not holds_address(again)
    assert (again["machine_id"], again["kernel"]) == (STORED["machine_id"], "6.1.0")
    assert masked_again(again) == again


def test_the_first_facts_after_a_change_of_the_rules_tell_no_address() -> None:
    sent = {**STORED, "kernel": "6.2.0"}
    (change,) = differences(masked_again(STORED), kept(sent, None) | {"machine_id": "ab" * 32})
    assert change == {"path": "kernel", "before": "6.1.0", "after": "6.2.0"}


def test_changes_of_earlier_rules_are_masked_or_left_out() -> None:
    at = "2026-01-01T00:00:00.000Z"
    changes: list[dict[str, Any]] = [
        {"at": at, "path": "neighbours.aabb.ccdd.eeff", "before": "0011.2233.44ff", "after": None},
        {"at": at, "path": "interfaces[eth0].perm_mac", "before": "aabbccddeeff", "after": None},
        {"at": at, "path": "disks.sda.wwn", "before": None, "after": "0x5000c500a1b2c3d4"},
        {"at": at, "path": "disks[sda]", "before": None, "after": {"wwn": "0x5000c500a1b2c3d4"}},
        {"at": at, "path": "kernel", "before": "6.1.0", "after": "6.2.0"},
    ]
    again = changes_masked_again(changes)
    assert not holds_address(again)
    assert [change["path"].partition(".")[0] for change in again] == [
        "neighbours", "disks[sda]", "kernel",
    ]  # fmt: skip
    assert again[-1] == changes[-1]
