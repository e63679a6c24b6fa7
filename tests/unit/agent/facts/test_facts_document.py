"""The document of facts, and the hash by which a change of it is seen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent import __version__
from rollcall_agent.facts.canonical import LARGEST_DOCUMENT, bounded, canonical, digest
from rollcall_agent.facts.collector import SOURCES, Collector, Snapshot
from rollcall_agent.facts.host import Host

from tests.unit.agent.facts.fake_host import dumped, fails, host, interface, put, routed

LONG_NAME = "é" * 64


def lived_in(root: Path) -> Host:
    """A host of which much is known."""
    interface(root, "eth0", 2, sent=7, received=9)
    put(root, "/etc/os-release", "PRETTY_NAME=Debian\n")
    put(root, "/etc/machine-id", "feed\n")
    put(root, "/proc/stat", "btime 1790006400\n")
    put(root, "/proc/meminfo", "MemTotal: 2048 kB\n")
    put(root, "/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n")
    return host(
        root,
        hostname=lambda: "web-1",
        connected=routed("10.0.0.2"),
        addresses=lambda: dumped((2, "10.0.0.2", 0)),
    )


def taken(found: Host) -> Snapshot:
    return Collector(found).current()


def test_a_document_holds_all_that_is_known(tmp_path: Path) -> None:
    assert taken(lived_in(tmp_path)).document == {
        "hostname": "web-1",
        "os": "Debian",
        "arch": "x86_64",
        "kernel": "6.1.0",
        "agent_version": __version__,
        "ssh_port": 22,
        "machine_id_sha256": hashlib.sha256(b"feed").hexdigest(),
        "primary_address": "10.0.0.2",
        "interfaces": [
            {
                "name": "eth0",
                "is_management": True,
                "is_loopback": False,
                "is_virtual": False,
                "is_wireless": False,
                "is_up": True,
                "bytes_sent": 7,
                "bytes_received": 9,
                "addresses": ["10.0.0.2"],
            }
        ],
        "cpu": {"logical_cores": 8},
        "memory_bytes": 2097152,
        "disks": [{"mount": "/", "filesystem": "ext4", "total_bytes": 1000}],
        "time_zone": "CET",
        "boot_time": "2026-09-21T16:00:00Z",
        "container": "none",
    }


def test_a_host_that_tells_nothing_still_has_a_document(tmp_path: Path) -> None:
    silent = host(tmp_path, machine=fails, kernel=fails, system=fails, cores=fails, zone=fails)
    assert Collector(silent).current().document == {
        "hostname": "unknown",
        "agent_version": __version__,
        "ssh_port": 22,
        "interfaces": [],
        "disks": [],
        "container": "none",
    }


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_a_source_that_fails_leaves_out_its_own_facts_alone(tmp_path: Path, number: int) -> None:
    found = lived_in(tmp_path)
    own = {name for name, value in SOURCES[number](found).items() if value not in (None, "")}

    def broken(_: Host) -> dict[str, object]:
        raise ZeroDivisionError

    sources = [*SOURCES[:number], broken, *SOURCES[number + 1 :]]
    whole, rest = taken(found), Collector(found, sources).current()
    assert rest.document.keys() == whole.document.keys() - own


def test_the_hash_is_the_one_of_the_canonical_form_without_what_is_volatile(
    tmp_path: Path,
) -> None:
    snapshot = taken(lived_in(tmp_path))
    document: dict[str, Any] = json.loads(json.dumps(snapshot.document))
    for one in document["interfaces"]:
        del one["bytes_sent"], one["bytes_received"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert snapshot.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_counters_that_grow_do_not_change_the_hash(tmp_path: Path) -> None:
    found = lived_in(tmp_path)
    before = taken(found)
    put(tmp_path, "/sys/class/net/eth0/statistics/tx_bytes", "700\n")
    after = taken(found)
    assert after.document != before.document
    assert after.sha256 == before.sha256


@pytest.mark.parametrize("name", ["veth0a1b2c", "vnet3", "cali0123456789a", "lxc123abc"])
def test_an_interface_that_lives_as_long_as_a_container_does_not_change_the_hash(
    tmp_path: Path, name: str
) -> None:
    found = lived_in(tmp_path)
    before = taken(found)
    interface(tmp_path, name, 9, device=False)
    after = taken(found)
    assert name in json.dumps(after.document)
    assert after.sha256 == before.sha256


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/sys/class/net/eth0/flags", "0x1002\n"),
        ("/etc/os-release", "PRETTY_NAME=Debian 13\n"),
        ("/host-hostname", "renamed"),
        ("/proc/stat", "btime 1790020000\n"),
        ("/proc/meminfo", "MemTotal: 4096 kB\n"),
    ],
)
def test_a_change_of_what_lasts_changes_the_hash(tmp_path: Path, path: str, text: str) -> None:
    found = lived_in(tmp_path)
    before = taken(found)
    put(tmp_path, path, text)
    assert taken(found).sha256 != before.sha256


def test_a_boot_time_that_wobbles_over_a_minutes_edge_stays_what_it_was(tmp_path: Path) -> None:
    collector = Collector(lived_in(tmp_path))
    seen = []
    for second in (1790006429, 1790006430, 1790006428):
        put(tmp_path, "/proc/stat", f"btime {second}\n")
        seen.append(collector.current())
    assert {one.sha256 for one in seen} == {seen[0].sha256}
    assert seen[1].document["boot_time"] == "2026-09-21T16:00:00Z"


def test_a_document_holds_json_types_and_no_floats(tmp_path: Path) -> None:
    def check(value: object) -> None:
        assert type(value) in {dict, list, str, int, bool}
        for one in value.values() if isinstance(value, dict) else ():
            check(one)
        for one in value if isinstance(value, list) else ():
            check(one)

    check(taken(lived_in(tmp_path)).document)


def large() -> dict[str, object]:
    """More than any host should say: it would be 80 KiB."""
    address = "2001:0db8:1111:2222:3333:4444:5555:6666"
    return {
        "hostname": "web-1",
        "interfaces": [
            {
                "name": f"{number}{LONG_NAME}",
                "bytes_sent": number,
                "bytes_received": number,
                "addresses": [address] * 16,
            }
            for number in range(64)
        ],
        "disks": [
            {"mount": f"/{number}" + "é" * 254, "filesystem": "ext4", "total_bytes": 1}
            for number in range(64)
        ],
    }


def test_a_document_that_is_too_large_loses_what_matters_least_and_says_how_much() -> None:
    document = bounded(large())
    assert len(canonical(document)) <= LARGEST_DOCUMENT
    interfaces, disks, omitted = (document[name] for name in ("interfaces", "disks", "omitted"))
    assert isinstance(interfaces, list)
    assert isinstance(disks, list)
    assert len(interfaces) + len(disks) + int(str(omitted)) == 128
    assert interfaces[0]["name"].startswith("0")
    assert len(interfaces) > 5
    assert len(disks) > 5


def test_what_is_left_out_does_not_depend_on_the_counters() -> None:
    def with_counters(value: int, padding: int) -> dict[str, object]:
        one = {"name": "eth0", "bytes_sent": value, "bytes_received": value}
        return {"interfaces": [one], "hostname": "a" * padding}

    fits = LARGEST_DOCUMENT - len(canonical(with_counters(0, 0)))
    assert len(canonical(with_counters(0, fits))) == LARGEST_DOCUMENT
    small, grown = bounded(with_counters(0, fits)), bounded(with_counters(2**63, fits))
    assert small["omitted"] == grown["omitted"] == 1
    assert digest(small) == digest(grown)


def test_a_text_without_a_form_in_utf_8_is_replaced() -> None:
    assert canonical({"mount": "/\udcff"}) == b'{"mount":"/?"}'
