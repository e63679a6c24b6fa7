"""The last known state of `run`, left on disk for `status`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rollcall_agent.heartbeat import LONGEST_INTERVAL
from rollcall_agent.private_files import write_private
from rollcall_agent.say import clean


@dataclass(frozen=True)
class Beaten:
    """What a restart wants to know of the life before it.

    Attributes:
        agent_id: Which agent it was.
        interval: How often it was to beat; None where it was never accepted.
        instance: As which instance its process beats, or beat.
    """

    agent_id: str
    interval: float | None
    instance: str | None = None


def remember(path: Path, state: str, detail: str, now: float, beaten: Beaten | None = None) -> None:
    """Write the state down, if that is possible: a read-only folder must not stop a heartbeat."""
    since = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    content: dict[str, object] = {"state": state, "since": since, "detail": detail}
    if beaten is not None:
        content |= {
            "agent_id": beaten.agent_id,
            "interval": beaten.interval,
            "instance": beaten.instance,
        }
    # ValueError: a path without a name, such as "/".
    with suppress(OSError, ValueError):
        write_private(path, json.dumps(content).encode() + b"\n")


def recall(path: Path, agent_id: str | None) -> dict[str, str] | None:
    """Read the state, or None where there is none that can be read, or another agent's."""
    content = _read(path)
    if content.get("agent_id") not in {None, agent_id}:
        return None
    names = ("state", "since", "detail")
    return {name: clean(str(content[name])) for name in names if name in content} or None


def recall_beaten(path: Path, agent_id: str) -> Beaten | None:
    """Return how this agent beat before, or None where it never did as far as anybody knows."""
    content = _read(path)
    interval = content.get("interval")
    if content.get("agent_id") != agent_id or isinstance(interval, bool):
        return None
    if not isinstance(interval, int | float) or not 1 <= interval <= LONGEST_INTERVAL:
        return None
    return Beaten(agent_id, float(interval), recall_instance(path, agent_id))


def recall_instance(path: Path, agent_id: str) -> str | None:
    """Return as which instance this agent's process beats, as far as anybody knows."""
    content = _read(path)
    instance = content.get("instance")
    is_its_own = content.get("agent_id") == agent_id and isinstance(instance, str)
    return str(instance) if is_its_own else None


def _read(path: Path) -> dict[str, object]:
    try:
        content: object = json.loads(path.read_bytes()[:65536])
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
