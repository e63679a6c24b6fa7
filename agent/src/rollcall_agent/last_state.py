"""The last known state of `run`, left on disk for `status`."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from rollcall_agent.private_files import write_private
from rollcall_agent.say import clean


def remember(path: Path, state: str, detail: str, now: float) -> None:
    """Write the state down, if that is possible: a read-only folder must not stop a heartbeat."""
    since = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    content = {"state": state, "since": since, "detail": detail}
    with suppress(OSError):
        write_private(path, json.dumps(content).encode() + b"\n")


def recall(path: Path) -> dict[str, str] | None:
    """Read the state, or None where there is none that can be read."""
    try:
        content: object = json.loads(path.read_bytes()[:65536])
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    names = ("state", "since", "detail")
    return {name: clean(str(content[name])) for name in names if name in content} or None
