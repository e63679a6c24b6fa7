"""What a host says about itself when it enrolls."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rollcall_agent import __version__

_ARCHITECTURES: Final = {"amd64": "x86_64", "aarch64": "arm64"}
_LONGEST: Final = 200


def collect(
    *,
    hostname: Callable[[], str] = socket.gethostname,
    machine: Callable[[], str] = platform.machine,
    os_release: Path = Path("/etc/os-release"),
    machine_id: Path = Path("/etc/machine-id"),
) -> dict[str, str]:
    """Return the facts that go with an exchange; what is not known is left out."""
    facts = {
        "hostname": hostname() or "unknown",
        "os": _pretty_name(os_release) or platform.system().lower(),
        "arch": architecture(machine()),
        "agent_version": __version__,
        "machine_id": _hashed_machine_id(machine_id),
    }
    return {name: value[:_LONGEST] for name, value in facts.items() if value}


def architecture(machine: str) -> str:
    """Map what the kernel calls the processor to the name that releases use."""
    name = machine.lower()
    return _ARCHITECTURES.get(name, name)


def _pretty_name(os_release: Path) -> str | None:
    for line in _text(os_release).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "PRETTY_NAME":
            return value.strip().strip("'\"") or None
    return None


def _hashed_machine_id(path: Path) -> str:
    """Hash the machine id here: machine-id(5) calls it confidential, and so it never travels."""
    raw = _text(path).strip()
    # An image that was never booted says "uninitialized", which would make all its hosts one.
    if not raw or raw == "uninitialized":
        return ""
    return hashlib.sha256(raw.encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
