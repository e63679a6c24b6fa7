"""Fetching an export of the evidence: asked for, waited for, downloaded, checked.

It is a folder: files of records, files of the batches that seal them, and the manifest. This is
all that an offline verification of the evidence needs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rollcall_cli.answers import NoAnswerError
from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.private_files import DIRECTORY_MODE, write_private
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import cell
from rollcall_cli.text import sentence
from rollcall_cli.waiting import Waiting

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# The control plane's addresses are good for five minutes.
_FRESH_SECONDS: Final = 200.0
_ENDS: Final = frozenset({"done", "failed"})


def check_folder(folder: Path) -> None:
    """See that an export can be put there before one is made.

    Raises:
        CliError: it cannot.
    """
    if not folder.parent.is_dir():
        raise usage("The folder in which --export is to make a new one does not exist.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise usage("--export must be a new folder, or an empty one.")


def export(
    operator: Operator, wanted: dict[str, Any], folder: Path, timeout: float
) -> dict[str, Any]:
    """Put the records of a time range, and what proves them, into a folder.

    Raises:
        CliError: it was refused, failed, or did not end in time.
    """
    started = operator.plane.post("audit-records", "export", body=wanted)
    done = _wait(operator, str(started["job"]["job_id"]), timeout)
    try:
        with _whole_or_nothing(folder) as place:
            _Files(operator, done).download(place)
    except NoAnswerError as error:
        raise CliError(
            sentence(f"The export could not be downloaded: {error.reason}"), ExitCode.UNREACHABLE
        ) from error
    except OSError as error:
        line = f"The folder of --export cannot be written: {error.strerror}."
        raise CliError(line, ExitCode.LOCAL_FAILURE) from error
    return done


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A folder for the owner only that takes its place when all of it is there."""
    place = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=DIRECTORY_MODE)
    try:
        yield place
        place.rename(folder)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def without_addresses(export: dict[str, Any]) -> dict[str, Any]:
    """The export as it may be shown: a presigned address is all that it takes to read a file."""

    def shown(file: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in file.items() if name != "url"}

    manifest = export.get("manifest")
    return {
        **export,
        "files": [shown(file) for file in export.get("files", [])],
        "manifest": shown(manifest) if manifest else None,
    }


def _wait(operator: Operator, job_id: str, timeout: float) -> dict[str, Any]:
    waiting = Waiting(operator.clock, timeout)
    operator.screen.note(f"{job_id} writes the export.")
    while True:
        found = operator.plane.get("audit-records", "exports", job_id)
        if found.get("status") == "failed":
            line = sentence(f"{job_id} failed: {cell(found.get('last_error'))}")
            raise CliError(line, ExitCode.ENDED_BADLY)
        if found.get("status") in _ENDS:
            return found
        if not waiting.another_round():
            raise CliError(f"{job_id} has not ended in time.", ExitCode.TIMED_OUT)


class _Files:
    """The files of an export, each compared with its hash."""

    def __init__(self, operator: Operator, export: dict[str, Any]) -> None:
        self._operator = operator
        self._export = export
        self._read_at = operator.clock.monotonic()

    def download(self, folder: Path) -> None:
        """Fetch them all."""
        for place in range(len(_files(self._export))):
            if self._operator.clock.monotonic() - self._read_at > _FRESH_SECONDS:
                self._export = self._operator.plane.get(
                    "audit-records", "exports", str(self._export["job_id"])
                )
                self._read_at = self._operator.clock.monotonic()
            file = _files(self._export)[place]
            name = str(file["name"])
            if _FILE_NAME.fullmatch(name) is None:
                raise NoAnswerError("a file has a name that no file of an export has")
            write_private(folder / name, self._content(name, file))

    def _content(self, name: str, file: dict[str, Any]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for block in self._operator.plane.connection.download(str(file["url"])):
            digest.update(block)
            yield block
        if digest.hexdigest() != file["sha256"]:
            raise NoAnswerError(f"{name} is not what the control plane wrote")


def _files(export: dict[str, Any]) -> list[dict[str, Any]]:
    manifest = export.get("manifest")
    return [*export["files"], *([manifest] if manifest else [])]
