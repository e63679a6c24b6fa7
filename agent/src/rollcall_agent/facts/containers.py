"""In which container this process runs, if in any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rollcall_agent.facts.host import Host

NONE: Final = "none"
_NAMES: Final = {
    "docker": "docker",
    "podman": "podman",
    "oci": "docker",
    "lxc": "lxc",
    "lxc-libvirt": "lxc",
    "systemd-nspawn": "nspawn",
    "kube": "kubernetes",
    "wsl": "wsl",
}
_GROUPS: Final = (
    ("kubepods", "kubernetes"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("lxc", "lxc"),
)


def container(host: Host) -> str:
    """Name the container, most telling sign first; "none" where there is no sign."""
    return next(_signs(host), NONE)


def _signs(host: Host) -> Iterator[str]:
    # A pod's containers also look like what runs them.
    if host.environment.get("KUBERNETES_SERVICE_HOST"):
        yield "kubernetes"
    if host.at("/var/run/secrets/kubernetes.io").is_dir():
        yield "kubernetes"
    group = _by_group(host)
    if group == "kubernetes":
        yield group
    if host.at("/run/.containerenv").exists():
        yield "podman"
    if host.at("/.dockerenv").exists():
        yield "docker"
    for said in _said(host):
        if said in _NAMES:
            yield _NAMES[said]
    if group:
        yield group


def _said(host: Host) -> Iterator[str]:
    """What a manager of containers tells those inside by a variable named `container`."""
    yield host.environment.get("container", "")
    yield host.text("/run/systemd/container").strip()
    # Readable by root alone. Nothing else of that environment is looked at.
    found = re.search(r"(?:\A|\0)container=([^\0]*)", host.text("/proc/1/environ"))
    yield found.group(1) if found else ""


def _by_group(host: Host) -> str | None:
    text = host.text("/proc/1/cgroup")
    # A host that runs containers has such words in the groups of other processes, not in pid 1's.
    return next((name for word, name in _GROUPS if word in text), None)
