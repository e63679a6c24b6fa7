"""The last known state of `run`, left on disk for `status`."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rollcall_agent.heartbeat import LONGEST_INTERVAL
from rollcall_agent.private_files import write_private
from rollcall_agent.say import clean

_LARGEST: Final = 64 * 1024
"""Of a state, in bytes: what is larger is something else."""


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
    """Write the state down, if that is possible: a read-only folder must not stop a heartbeat.

    A file that holds something else than a state is left as it is (`may_be_replaced`).
    """
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
        if may_be_replaced(path):
            write_private(path, json.dumps(content).encode() + b"\n")


def may_be_replaced(path: Path) -> bool:
    """Tell whether a path is free for the state: no file, an empty one, or an earlier state.

    The setting may name any file of the host, and an agent that runs as root could replace each of
    them. A file that a crash of the host left full of NUL bytes counts as empty.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        if not path.is_file():
            return not path.exists()
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return True
    return len(content) <= _LARGEST and (not content.strip(b"\0") or "state" in _parse(content))


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
        with path.open("rb") as file:
            return _parse(file.read(_LARGEST))
    except OSError:
        return {}


def _parse(text: bytes) -> dict[str, object]:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
