"""What the agent remembers about upgrades from one start to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from rollcall_agent.private_files import make_parents, write_private

FILE: Final = "upgrade.json"
LARGEST: Final = 65536
FORGETS_AFTER: Final = 86400.0


@dataclass(frozen=True)
class Note:
    """An upgrade that no accepted beat has confirmed yet.

    Attributes:
        attempts: How often the new version was started.
        going_back: Whether it was given up; the previous version may not be in place yet.
    """

    former: str
    to: str
    started_at: float
    attempts: int = 0
    going_back: bool = False


@dataclass(frozen=True)
class Remembered:
    """The content of the file.

    Attributes:
        failed: By version that failed on this host: until when it is left alone.
    """

    note: Note | None = None
    failed: Mapping[str, float] = field(default_factory=dict)

    def with_note(self, note: Note | None) -> Remembered:
        """Return it with another note."""
        return replace(self, note=note)

    def with_failed(self, version: str, now: float) -> Remembered:
        """Return it with one more version that failed; those of long ago are forgotten."""
        kept = {name: until for name, until in self.failed.items() if until > now}
        return replace(self, failed={**kept, version: now + FORGETS_AFTER})

    def is_failed(self, version: str, now: float) -> bool:
        """Tell whether a version failed here less than a day ago."""
        until = self.failed.get(version, 0.0)
        # Beyond a day is a clock that was set back, which must not hold an upgrade for ever.
        return now < until <= now + FORGETS_AFTER


class UpgradeMemory:
    """A file in the state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def made_folder(self) -> Path:
        """Return the folder, which is there afterwards; OSError where that is impossible."""
        make_parents(self._path)
        return self._path.parent

    def load(self) -> Remembered:
        """Read it; what cannot be read is nothing."""
        try:
            content: object = json.loads(self._path.read_bytes()[:LARGEST])
        except (OSError, ValueError, RecursionError):
            return Remembered()
        if not isinstance(content, dict):
            return Remembered()
        return Remembered(_note(content.get("note")), _failed(content.get("failed")))

    def save(self, remembered: Remembered) -> None:
        """Write it down, whole or not at all.

        Raises:
            OSError: It could not be written.
        """
        self.made_folder()
        write_private(self._path, json.dumps(asdict(remembered)).encode() + b"\n")


def _note(content: object) -> Note | None:
    if not isinstance(content, dict):
        return None
    former, to = content.get("former"), content.get("to")
    started_at, attempts = content.get("started_at"), content.get("attempts")
    if not isinstance(former, str) or not isinstance(to, str):
        return None
    if not isinstance(started_at, int | float) or not isinstance(attempts, int):
        return None
    return Note(former, to, float(started_at), attempts, content.get("going_back") is True)


def _failed(content: object) -> dict[str, float]:
    if not isinstance(content, dict):
        return {}
    return {
        str(version): float(until)
        for version, until in content.items()
        if isinstance(until, int | float)
    }
