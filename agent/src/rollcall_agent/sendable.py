"""What may be uploaded, checked on the host: before a file is read, and before anything is sent.

The limits are the control plane's own. What it would refuse is refused here, at once and in words.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.say import clean

BLOCK: Final = 1024 * 1024
LARGEST: Final = 100 * 1024 * 1024
LONGEST_NAME: Final = 255
MOST_METADATA: Final = 16
LONGEST_VALUE: Final = 128
CONTENT_TYPES: Final = (
    "application/gzip",
    "application/json",
    "application/octet-stream",
    "application/x-ndjson",
    "application/x-tar",
    "application/zip",
    "application/zstd",
    "text/plain",
)
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9._/-]{0,62}")
# Controls, formats (zero width, direction of writing), separators of lines.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
_KINDS_OF_FILE: Final = (
    (stat.S_ISDIR, "a folder; pack it first, with tar for example"),
    (stat.S_ISFIFO, "a pipe; write its content to a file first"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class Stamp:
    """What a file shows of itself without being read; another one means that it changed."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Take it from what the system says of a file."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Measured:
    """A file whose content was read once.

    Attributes:
        sha256: of its content, in hex.
    """

    path: Path
    stamp: Stamp
    sha256: str

    @property
    def size(self) -> int:
        """The length of its content, in bytes."""
        return self.stamp.size

    def has_changed(self) -> bool:
        """Tell whether the path leads to anything else by now."""
        try:
            return Stamp.of(self.path.stat()) != self.stamp
        except OSError:
            return True


def measure(path: Path) -> Measured:
    """Read a file once, if it is one that can be uploaded.

    Raises:
        AgentError: It is none, or it changed meanwhile.
    """
    try:
        # Nothing else is opened: a pipe or a device could block for ever.
        _refuse_what_is_no_file(path, path.stat())
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            _refuse_what_is_no_file(path, before)
            _refuse_size(path, before.st_size)
            sha256, size = _digest_of(file.fileno(), before.st_size)
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        is_link = os.path.lexists(path)
        why = "It is a link that leads to no file." if is_link else "There is no such file."
        raise _unusable(path, why) from error
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from error
    if size != before.st_size or Stamp.of(after) != Stamp.of(before):
        raise file_changed(path)
    return Measured(path, Stamp.of(before), sha256)


def cannot_read(path: Path, error: OSError | ValueError) -> AgentError:
    """Say why a file cannot be read."""
    why = (error.strerror if isinstance(error, OSError) else None) or "no path of a file"
    return AgentError(f"Cannot read {_shown(path)}: {why}.", ExitCode.USAGE)


def file_changed(path: Path) -> AgentError:
    """Say that the file is no longer the one whose digest was announced."""
    return AgentError(
        f"{_shown(path)} changed while it was being uploaded. Next: upload a copy that no program "
        "writes to.",
        ExitCode.USAGE,
    )


def filename_of(path: Path) -> str:
    """Return the name that an artifact is to have.

    Raises:
        AgentError: No artifact can be called so.
    """
    # A name that is not UTF-8 would be no JSON text.
    name = path.name.encode("utf-8", "replace").decode("utf-8")
    if "\n" in name or "\r" in name:
        raise _unusable_name(path, "it holds a line break")
    for letter in name:
        if unicodedata.category(letter) in _UNSEEN:
            raise _unusable_name(path, f"it holds an invisible character (U+{ord(letter):04X})")
    if not name.strip():
        raise _unusable_name(path, "it has no letters")
    if "\\" in name:
        raise _unusable_name(path, "it holds a backslash")
    if len(name) > LONGEST_NAME:
        raise _unusable_name(path, f"it is longer than {LONGEST_NAME} characters")
    return name


def content_type_of(given: str) -> str:
    """Return a content type as the control plane writes it.

    Raises:
        AgentError: It takes none such.
    """
    found = given.strip().lower()
    if found not in CONTENT_TYPES:
        raise AgentError(
            f"--content-type must be one of {', '.join(CONTENT_TYPES)}.", ExitCode.USAGE
        )
    return found


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Check the pairs that go with an artifact.

    Raises:
        AgentError: The control plane would not take them.
    """
    if len(metadata) > MOST_METADATA:
        raise _bad_metadata(f"at most {MOST_METADATA} pairs")
    for key, value in metadata.items():
        if _KEY.fullmatch(key) is None:
            raise _bad_metadata(
                f"the key {clean(key, 70)!r} must be 1 to 63 of a-z, 0-9, '.', '_', '/' and '-', "
                "and begin with a letter or digit"
            )
        if len(value) > LONGEST_VALUE:
            raise _bad_metadata(f"the value of {key} is longer than {LONGEST_VALUE} characters")
        if any(unicodedata.category(letter) in _UNSEEN | {"Cs"} for letter in value):
            raise _bad_metadata(f"the value of {key} holds an invisible character, or no UTF-8")


def _refuse_what_is_no_file(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((words for is_it, words in _KINDS_OF_FILE if is_it(found.st_mode)), "no file")
    raise _unusable(path, f"It is {kind}.")


def _refuse_size(path: Path, size: int) -> None:
    if size == 0:
        raise _unusable(path, "It is empty.")
    if size > LARGEST:
        raise _unusable(
            path,
            f"It has {size} bytes, and the control plane accepts at most {LARGEST} "
            f"({LARGEST // 1024**2} MiB). Next: compress it, or split it.",
        )


def _digest_of(descriptor: int, size: int) -> tuple[str, int]:
    """Return the SHA-256 of a file's first bytes, and how many there were.

    One byte more than announced is enough to know: a file may grow as fast as it is read.
    """
    digest, count = hashlib.sha256(), 0
    while count <= size and (block := os.read(descriptor, min(BLOCK, size + 1 - count))):
        digest.update(block)
        count += len(block)
    return digest.hexdigest(), count


def _unusable(path: Path, why: str) -> AgentError:
    return AgentError(f"{_shown(path)} cannot be uploaded. {why}", ExitCode.USAGE)


def _unusable_name(path: Path, why: str) -> AgentError:
    line = f"The name of {_shown(path)} cannot be kept: {why}. Next: rename the file, or copy it."
    return AgentError(line, ExitCode.USAGE)


def _bad_metadata(why: str) -> AgentError:
    return AgentError(f"--metadata cannot be used: {why}.", ExitCode.USAGE)


def _shown(path: Path) -> str:
    # A name may hold a line break, or move the cursor of a terminal.
    return clean(str(path)) or "the file"
