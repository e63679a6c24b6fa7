"""What the host and its system are called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from rollcall_agent.facts.host import Host, text_of
from rollcall_agent.facts.texts import fact

HOSTNAME_FILE: Final = "HOST_HOSTNAME_FILE"
OS_RELEASE_FILE: Final = "HOST_OS_RELEASE_FILE"
UNKNOWN: Final = "unknown"
# What the control plane takes as a hostname; one that it does not take would cost the enrollment.
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_ARCHITECTURES: Final = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


def hostname(host: Host) -> str:
    """Return the host's name: the bind-mounted file, then the system, then "unknown"."""
    for source in (_mounted_hostname, _own_hostname):
        name = source(host)
        if _HOSTNAME.fullmatch(name):
            return name
    return UNKNOWN


def os_name(host: Host) -> str:
    """Return the pretty name: bind-mounted os-release, then the local one, then the system."""
    mounted = _file(host, OS_RELEASE_FILE, "/host-os-release")
    for path in (mounted, host.at("/etc/os-release")):
        name = _pretty_name(text_of(path))
        if name:
            return name
    return fact(host.system().lower()) or UNKNOWN


def architecture(machine: str) -> str:
    """Map what the kernel calls the processor to the name that releases use."""
    name = machine.lower()
    return fact(_ARCHITECTURES.get(name, name))


def _mounted_hostname(host: Host) -> str:
    return text_of(_file(host, HOSTNAME_FILE, "/host-hostname")).strip()


def _own_hostname(host: Host) -> str:
    try:
        return host.hostname().strip()
    except OSError:
        return ""


def _file(host: Host, setting: str, default: str) -> Path:
    named = host.environment.get(setting)
    return Path(named) if named else host.at(default)


def _pretty_name(text: str) -> str:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "PRETTY_NAME":
            return fact(value.strip().strip("'\""))
    return ""
