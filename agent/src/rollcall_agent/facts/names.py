"""What the host and its system are called."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rollcall_agent.facts import hostnames, machine_id
from rollcall_agent.facts.host import Host, text_of
from rollcall_agent.facts.texts import fact

HOSTNAME_FILE: Final = "HOST_HOSTNAME_FILE"
OS_RELEASE_FILE: Final = "HOST_OS_RELEASE_FILE"
UNKNOWN: Final = "unknown"
_ARCHITECTURES: Final = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


def hostname(host: Host) -> str:
    """Return the host's name: the bind-mounted file, then the system, then its machine id's digest.

    It is always one that the control plane takes: another would cost the enrollment.
    """
    found = [hostnames.hostname_of(text) for text in (_mounted_hostname(host), _own_hostname(host))]
    for name in found:
        if name and not hostnames.names_no_host(name):
            return name
    name = next(filter(None, found), "")
    machine = machine_id.hashed(host)
    if machine is None:
        return name or UNKNOWN
    return hostnames.told_apart(name.partition(".")[0] or "host", by=machine)


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
    # As /etc/hostname is written: one name, and perhaps comments (hostname(5)).
    lines = text_of(_file(host, HOSTNAME_FILE, "/host-hostname")).splitlines()
    return next((line for line in map(str.strip, lines) if line and line[0] != "#"), "")


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
