"""The files of an export: `records*.jsonl`, `batches*.jsonl`, and `manifest.json`. Needs no AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.audit_chain import ExpectedHead, milliseconds
from infra.errors import DeployError

MANIFEST = "manifest.json"
RECORDS = "records.jsonl"
BATCHES = "batches.jsonl"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export says of itself. Nobody has signed it: what it says is told, not trusted.

    Args:
        organization: whose records.
        since: from when on, in milliseconds; None: from the beginning.
        until: and up to when.
        fetched_at: when the records were read.
        head: where the chain came to at that time.
        partial: whether it holds the records of one resource only.
        disturbed: batches that were read from behind something else that was in their place.
    """

    organization: str | None = None
    since: int | None = None
    until: int | None = None
    fetched_at: int | None = None
    head: ExpectedHead | None = None
    partial: bool = False
    disturbed: tuple[int, ...] = ()


def lines(folder: Path, kind: str) -> Iterator[str]:
    """The lines of all files of a kind (`records`, `batches`), in the order of their names.

    Raises:
        DeployError: there is none, or one is no text.
    """
    files = sorted(folder.glob(f"{kind}*.jsonl"))
    if not files:
        raise DeployError(f"{folder} has no {kind}*.jsonl")
    for file in files:
        try:
            with file.open(encoding="utf-8") as opened:
                yield from (line for line in opened if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise DeployError(f"{file} cannot be read: {error}") from error


def manifest(folder: Path) -> Manifest:
    """What the export says of itself; nothing, where it says nothing.

    Raises:
        DeployError: it cannot be understood.
    """
    file = folder / MANIFEST
    if not file.exists():
        return Manifest()
    try:
        return _manifest(json.loads(file.read_text("utf-8")))
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise DeployError(f"{file} cannot be understood: {error}") from error


def _manifest(said: Any) -> Manifest:  # noqa: ANN401 - whatever the file holds
    head = said.get("head")
    return Manifest(
        organization=said.get("organization"),
        since=_time(said.get("since")),
        until=_time(said.get("until")),
        fetched_at=_time(said.get("fetched_at")),
        head=None if head is None else ExpectedHead(int(head["number"]), str(head["digest"])),
        partial=said.get("resource_type") is not None,
        disturbed=tuple(int(number) for number in said.get("disturbed") or ()),
    )


def _time(text: str | None) -> int | None:
    return None if text is None else milliseconds(text)
