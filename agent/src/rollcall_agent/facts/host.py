"""This host, as the modules of facts see it: everything that a test replaces."""

from __future__ import annotations

import os
import platform as system_names
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from rollcall_agent.facts import address_dump, outbound

LARGEST_TEXT: Final = 1024 * 1024


class Psutil(Protocol):
    """The part of psutil that is used where there is neither /proc nor /sys."""

    def net_if_addrs(self) -> Mapping[str, Sequence[Any]]:
        """Return the addresses of each interface."""

    def net_if_stats(self) -> Mapping[str, Any]:
        """Return whether each interface is up."""

    def net_io_counters(self, *, pernic: bool) -> Mapping[str, Any]:
        """Return the byte counters of each interface."""

    def virtual_memory(self) -> Any:  # noqa: ANN401 - psutil's own tuple
        """Return the size of the memory."""

    def disk_partitions(self, *, all: bool) -> Sequence[Any]:  # noqa: A002 - psutil's own name
        """Return the mounted disks."""

    def boot_time(self) -> float:
        """Return when the host was started."""

    def cpu_count(self, *, logical: bool) -> int | None:
        """Return the number of cores."""


def load_psutil() -> Psutil:
    """Import psutil, which costs memory and is needed outside Linux only."""
    import psutil  # noqa: PLC0415

    module: Psutil = psutil
    return module


def capacity(folder: Path) -> int:
    """Return the size of the file system that holds the folder."""
    if sys.platform == "win32":
        import shutil  # noqa: PLC0415 - Windows has no statvfs

        return shutil.disk_usage(folder).total
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize


@dataclass(frozen=True)
class Host:
    """Where facts are read from.

    Attributes:
        environment: The settings that say where a container sees the host's own files, and those
            that are facts themselves.
        root: The folder that stands for ``/``.
        platform: What ``sys.platform`` says.
        connected: The address that this host speaks from to another one.
        addresses: The kernel's own dump of all addresses (Linux).
        capacity: The size of the file system that a folder is on.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    root: Path = Path("/")
    platform: str = sys.platform
    hostname: Callable[[], str] = socket.gethostname
    system: Callable[[], str] = system_names.system
    machine: Callable[[], str] = system_names.machine
    kernel: Callable[[], str] = system_names.release
    cores: Callable[[], int | None] = os.cpu_count
    zone: Callable[[], str] = lambda: time.tzname[0]
    connected: Callable[[outbound.Target], str] = outbound.connected
    addresses: Callable[[], bytes] = address_dump.dump
    capacity: Callable[[Path], int] = capacity
    psutil: Callable[[], Psutil] = load_psutil

    @property
    def is_linux(self) -> bool:
        """Whether there are /proc and /sys, which tell all without any library."""
        return self.platform == "linux"

    def at(self, path: str) -> Path:
        """Return an absolute path below the root."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """Return the text of a file; empty where there is none that can be read."""
        return text_of(self.at(path))

    def number(self, path: str) -> int | None:
        """Return the whole number in a file, or None."""
        text = self.text(path).strip()
        return int(text) if text.isdecimal() else None

    def names_in(self, folder: str) -> list[str]:
        """Return the sorted names of what is in a folder; none where it cannot be read."""
        try:
            return sorted(entry.name for entry in self.at(folder).iterdir())
        except OSError:
            return []


def text_of(path: Path) -> str:
    """Return the beginning of a file as text; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_TEXT).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
