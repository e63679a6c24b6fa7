"""The file systems on disks of this host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import fact

MOST_DISKS: Final = 64
_LONGEST_MOUNT: Final = 256
_IMAGES: Final = frozenset({"squashfs", "iso9660", "udf", "erofs"})
# What containers and packages mount comes and goes, and is no disk of the host.
_PASSING: Final = re.compile(
    r"/(proc|sys|dev|run|snap|var/snap|var/lib/(docker|containers|containerd|kubelet|lxc))(/.*)?"
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class _Mount:
    device: str
    folder: str
    filesystem: str

    @property
    def is_a_disk(self) -> bool:
        """Whether asking for its size is sure to be answered.

        A network file system, or one that a program serves, can block whoever asks, for ever.
        """
        local = self.device.startswith("/dev/") or self.filesystem == "zfs"
        served = self.filesystem.startswith("fuse") or self.filesystem in _IMAGES
        # A container's own root is an overlay on some disk that it does not see.
        overlay = self.folder == "/" and self.filesystem == "overlay"
        return (local or overlay) and not served and not _PASSING.fullmatch(self.folder)


def collect(host: Host) -> dict[str, object]:
    """Return mount point, file system and size of each disk, the root's first."""
    found: list[dict[str, object]] = []
    for mount in _once_each(_mounts(host)):
        size = _size(host, mount)
        if size:
            found.append(
                {
                    "mount": fact(mount.folder, _LONGEST_MOUNT),
                    "filesystem": fact(mount.filesystem),
                    "total_bytes": size,
                }
            )
        if len(found) == MOST_DISKS:
            break
    return {"disks": found}


def _mounts(host: Host) -> list[_Mount]:
    if not host.is_linux:
        return [
            _Mount(str(part.device), str(part.mountpoint), str(part.fstype))
            for part in host.psutil().disk_partitions(all=False)
        ]
    lines = (line.split(" ") for line in host.text("/proc/self/mounts").splitlines())
    mounts = [_Mount(*map(_plain, parts[:3])) for parts in lines if len(parts) > 3]  # noqa: PLR2004
    return [mount for mount in mounts if mount.is_a_disk]


def _once_each(mounts: list[_Mount]) -> Iterator[_Mount]:
    """Leave out what is mounted elsewhere too: of one device the shortest path is kept."""
    seen: set[str] = set()
    for mount in sorted(mounts, key=lambda mount: (len(mount.folder), mount.folder)):
        # A pool or an overlay is not a device: two file systems may share its name.
        name = mount.device if mount.device.startswith("/dev/") else mount.folder
        if name not in seen:
            seen.add(name)
            yield mount


def _size(host: Host, mount: _Mount) -> int:
    # A drive's letter is absolute, and so takes the root's place.
    folder = host.at(mount.folder) if host.is_linux else host.root / mount.folder
    try:
        # A container's /etc/hosts is a mount of its own, and no disk.
        return host.capacity(folder) if folder.is_dir() else 0
    except OSError:
        return 0


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 8)), text)
