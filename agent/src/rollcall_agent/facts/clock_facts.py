"""When the host was started, and its time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import fact

_ZONES: Final = "zoneinfo/"
_MINUTE: Final = 60


def booted_at(host: Host) -> int | None:
    """Return the second of the boot, as far as the host's clock was right then."""
    if not host.is_linux:
        return int(host.psutil().boot_time())
    found = re.search(r"^btime (\d{1,12})$", host.text("/proc/stat"), re.MULTILINE)
    return int(found.group(1)) if found else None


def rounded(seconds: int) -> str:
    """Name the nearest minute: the kernel computes the second anew each time, and it wobbles."""
    minute = (seconds + _MINUTE // 2) // _MINUTE * _MINUTE
    return datetime.fromtimestamp(minute, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_zone(host: Host) -> str:
    """Return the zone: TZ, /etc/timezone, where /etc/localtime leads, the C library's name.

    None of them changes with daylight saving time.
    """
    named = fact(host.environment.get("TZ", "").lstrip(":")) or fact(host.text("/etc/timezone"))
    return named or _linked_zone(host) or fact(host.zone())


def boot(host: Host) -> dict[str, object]:
    """Return the minute of the boot."""
    seconds = booted_at(host)
    return {"boot_time": rounded(seconds) if seconds is not None else None}


def _linked_zone(host: Host) -> str:
    try:
        target = str(host.at("/etc/localtime").readlink())
    except OSError:
        return ""
    _, found, zone = target.partition(_ZONES)
    return fact(zone) if found else ""
