"""Processor and memory."""

from __future__ import annotations

import re
from typing import Final

from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import fact, known

_CPUS: Final = "/sys/devices/system/cpu"
_CPU: Final = re.compile(r"cpu\d+")
# x86 says "model name"; some ARM boards say "Model" or "Hardware", servers of that kind nothing.
_MODELS: Final = ("model name", "Model", "Hardware")


def cpu(host: Host) -> dict[str, object]:
    """Return the processor's model and cores."""
    found = known(
        {
            "model": _model(host),
            "logical_cores": host.cores(),
            "physical_cores": _physical(host),
        }
    )
    return {"cpu": found} if found else {}


def memory(host: Host) -> dict[str, object]:
    """Return the size of the memory in bytes."""
    if not host.is_linux:
        return {"memory_bytes": int(host.psutil().virtual_memory().total)}
    found = re.search(r"^MemTotal:\s+(\d+) kB$", host.text("/proc/meminfo"), re.MULTILINE)
    return {"memory_bytes": int(found.group(1)) * 1024} if found else {}


def _model(host: Host) -> str:
    text = host.text("/proc/cpuinfo")
    for name in _MODELS:
        found = re.search(rf"^{name}\s*:(.*)$", text, re.MULTILINE)
        if found and fact(found.group(1)):
            return fact(found.group(1))
    return ""


def _physical(host: Host) -> int | None:
    """Count the cores that are not each other's threads."""
    if not host.is_linux:
        try:
            return host.psutil().cpu_count(logical=False)
        except ImportError:
            return None
    cores = {
        (host.number(f"{_CPUS}/{name}/topology/physical_package_id"), core)
        for name in host.names_in(_CPUS)
        if _CPU.fullmatch(name)
        and (core := host.number(f"{_CPUS}/{name}/topology/core_id")) is not None
    }
    return len(cores) or None
