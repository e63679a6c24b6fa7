"""The log of a service whose manager keeps none (Windows)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LARGEST_LOG: Final = 1024 * 1024


class LogFile:
    """Lines with their time in a file of bounded size; the one before it is kept as well."""

    def __init__(self, path: Path, now: Callable[[], float], largest: int = LARGEST_LOG) -> None:
        self._path = path
        self._now = now
        self._largest = largest

    def result(self, line: str) -> None:
        """Say what was produced."""
        self.note(line)

    def note(self, line: str) -> None:
        """Say what is going on. A full disk must not stop a heartbeat."""
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            self._make_room()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{at} {line}\n")

    def warn(self, line: str) -> None:
        """Say what somebody should look at."""
        self.note(f"warning: {line}")

    def _make_room(self) -> None:
        if self._path.exists() and self._path.stat().st_size >= self._largest:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
