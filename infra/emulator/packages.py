"""Uploaded deployment packages, unpacked below the run directory."""

import io
import shutil
import zipfile
from pathlib import Path


class PackageError(Exception):
    """The uploaded bytes are no acceptable deployment package."""


def unpack(code: bytes, digest: str, function: str, root: Path) -> Path:
    """Unpack a zip once and return its directory.

    Functions with the same code share it, as an application's do: unpacking thousands of small
    files for each, and removing them, takes longer than anything else of a short run.

    Args:
        code: The uploaded zip.
        digest: Its SHA-256, which names the directory.
        function: The function's name, for the error.
        root: Where packages live.
    """
    safe = "".join(char if char.isalnum() else "-" for char in digest)[:24]
    target = root / safe
    if target.is_dir():
        return target
    partial = root / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            archive.extractall(partial)
    except (zipfile.BadZipFile, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise PackageError(f"package of {function} cannot be unpacked: {error}") from error
    partial.rename(target)
    return target
