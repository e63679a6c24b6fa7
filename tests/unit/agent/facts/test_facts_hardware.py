"""Processor, memory, disks, boot and time zone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rollcall_agent.facts import clock_facts, disks, processor
from rollcall_agent.facts.host import Host

from tests.unit.agent.facts.fake_host import fails, host, put

CPUS = "/sys/devices/system/cpu"


def disks_of(found: Host) -> list[Any]:
    listed = disks.collect(found)["disks"]
    assert isinstance(listed, list)
    return listed


def test_the_processor_is_told_with_model_and_cores(tmp_path: Path) -> None:
    put(tmp_path, "/proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD  EPYC\nflags\t: fpu\n")
    for number, (package, core) in enumerate([(0, 0), (0, 0), (0, 1), (1, 0)]):
        folder = f"{CPUS}/cpu{number}/topology"
        put(tmp_path, f"{folder}/physical_package_id", f"{package}\n")
        put(tmp_path, f"{folder}/core_id", f"{core}\n")
    put(tmp_path, f"{CPUS}/cpufreq/topology/core_id", "9\n")
    assert processor.cpu(host(tmp_path)) == {
        "cpu": {"model": "AMD EPYC", "logical_cores": 8, "physical_cores": 3}
    }


def test_a_processor_of_which_little_is_known_is_told_as_far_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, "/proc/cpuinfo", "processor : 0\nHardware : BCM2835\n")
    found = host(tmp_path, cores=lambda: None)
    assert processor.cpu(found) == {"cpu": {"model": "BCM2835"}}
    assert processor.cpu(host(tmp_path / "bare", cores=lambda: None)) == {}


def test_memory_is_told_in_bytes(tmp_path: Path) -> None:
    assert processor.memory(host(tmp_path)) == {}
    put(tmp_path, "/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n")
    assert processor.memory(host(tmp_path)) == {"memory_bytes": 2 * 1024 * 1024}


def test_a_disk_is_told_once_by_its_shortest_path(tmp_path: Path) -> None:
    (tmp_path / "srv/my data").mkdir(parents=True)
    lines = [
        "/dev/sda1 /etc/hosts ext4 rw 0 0",
        "/dev/sda1 / ext4 rw 0 0",
        "/dev/sda1 /srv/bind ext4 rw 0 0",
        "/dev/sdb1 /srv/my\\040data xfs rw 0 0",
    ]
    put(tmp_path, "/proc/self/mounts", "\n".join(lines))
    assert disks_of(host(tmp_path)) == [
        {"mount": "/", "filesystem": "ext4", "total_bytes": 1000},
        {"mount": "/srv/my data", "filesystem": "xfs", "total_bytes": 1000},
    ]


@pytest.mark.parametrize(
    "line",
    [
        "tmpfs /tmp tmpfs rw 0 0",
        "proc /proc proc rw 0 0",
        "server:/export /mnt nfs4 rw 0 0",
        "//server/share /mnt cifs rw 0 0",
        "user@server: /mnt fuse.sshfs rw 0 0",
        "/dev/fuse /mnt fuse rw 0 0",
        "/dev/loop3 /mnt squashfs ro 0 0",
        "/dev/sr0 /mnt iso9660 ro 0 0",
        "/dev/sdc /var/lib/kubelet/pods/1234/volumes/x ext4 rw 0 0",
        "overlay /var/lib/docker/overlay2/abc/merged overlay rw 0 0",
        "cut short",
        "",
    ],
)
def test_what_is_no_disk_or_could_block_is_not_asked_about(tmp_path: Path, line: str) -> None:
    asked: list[Path] = []

    def capacity(folder: Path) -> int:
        asked.append(folder)
        return 1

    (tmp_path / "mnt").mkdir()
    put(tmp_path, "/proc/self/mounts", line)
    assert disks_of(host(tmp_path, capacity=capacity)) == []
    assert asked == []


def test_a_disk_whose_size_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    put(tmp_path, "/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /srv xfs rw 0 0\n")

    def capacity(folder: Path) -> int:
        return 5 if folder.name == "srv" else int(fails())

    assert [one["mount"] for one in disks_of(host(tmp_path, capacity=capacity))] == ["/srv"]


def test_at_most_64_disks_are_told(tmp_path: Path) -> None:
    for number in range(70):
        (tmp_path / f"d{number}").mkdir()
    mounts = "".join(f"/dev/sd{number} /d{number} ext4 rw 0 0\n" for number in range(70))
    put(tmp_path, "/proc/self/mounts", mounts)
    assert len(disks_of(host(tmp_path))) == 64


def test_a_file_that_is_mounted_by_itself_is_no_disk(tmp_path: Path) -> None:
    put(tmp_path, "/etc/hosts")
    put(tmp_path, "/proc/self/mounts", "/dev/sda1 /etc/hosts ext4 rw 0 0\n")
    assert disks_of(host(tmp_path)) == []


def test_a_container_tells_its_own_root(tmp_path: Path) -> None:
    put(tmp_path, "/proc/self/mounts", "overlay / overlay rw 0 0\n")
    assert [one["mount"] for one in disks_of(host(tmp_path))] == ["/"]


@pytest.mark.parametrize(
    ("second", "minute"), [(29, "16:00"), (30, "16:01"), (59, "16:01"), (60, "16:01")]
)
def test_the_boot_is_told_to_the_nearest_minute(tmp_path: Path, second: int, minute: str) -> None:
    four_o_clock = 1_790_006_400
    put(tmp_path, "/proc/stat", f"cpu 1 2\nbtime {four_o_clock + second}\n")
    assert clock_facts.boot(host(tmp_path)) == {"boot_time": f"2026-09-21T{minute}:00Z"}


def test_without_a_boot_time_none_is_told(tmp_path: Path) -> None:
    assert clock_facts.boot(host(tmp_path)) == {"boot_time": None}


def test_the_time_zone_has_four_sources_in_this_order(tmp_path: Path) -> None:
    assert clock_facts.time_zone(host(tmp_path)) == "CET"
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc/localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert clock_facts.time_zone(host(tmp_path)) == "Asia/Tokyo"
    put(tmp_path, "/etc/timezone", "Europe/Berlin\n")
    assert clock_facts.time_zone(host(tmp_path)) == "Europe/Berlin"
    assert clock_facts.time_zone(host(tmp_path, {"TZ": ":America/Lima"})) == "America/Lima"


def test_a_localtime_that_leads_elsewhere_names_no_zone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to("/somewhere/else")
    assert clock_facts.time_zone(host(tmp_path)) == "CET"


class FakePsutil:
    """What psutil says on a Mac."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk

    def virtual_memory(self) -> SimpleNamespace:
        return SimpleNamespace(total=8_000)

    def cpu_count(self, *, logical: bool) -> int:
        return 8 if logical else 4

    def boot_time(self) -> float:
        return 1_790_006_400.75

    def disk_partitions(self, *, all: bool) -> list[SimpleNamespace]:  # noqa: A002 - psutil's name
        assert not all
        disk = SimpleNamespace(device="/dev/disk1", mountpoint=str(self.disk), fstype="apfs")
        return [disk, disk]


def test_outside_linux_the_figures_are_psutils_and_whole(tmp_path: Path) -> None:
    mac = host(tmp_path, platform="darwin", psutil=lambda: FakePsutil(tmp_path))
    told = {
        **processor.cpu(mac),
        **processor.memory(mac),
        **clock_facts.boot(mac),
        **disks.collect(mac),
    }
    assert told == {
        "cpu": {"logical_cores": 8, "physical_cores": 4},
        "memory_bytes": 8_000,
        "boot_time": "2026-09-21T16:00:00Z",
        "disks": [{"mount": str(tmp_path), "filesystem": "apfs", "total_bytes": 1000}],
    }
    assert "." not in json.dumps(told["memory_bytes"])
