"""The machine id. It is confidential (machine-id(5)), so it is hashed here and never travels."""

from __future__ import annotations

import hashlib
from typing import Final

from rollcall_agent.facts.host import Host

FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
# An image that was never booted says this, which would make all its hosts one.
_NONE: Final = frozenset({"", "uninitialized"})


def hashed(host: Host) -> str | None:
    """Return the SHA-256 of the machine id, or None where the host has none."""
    for path in FILES:
        raw = host.text(path).strip()
        if raw not in _NONE:
            return hashlib.sha256(raw.encode()).hexdigest()
    return None
