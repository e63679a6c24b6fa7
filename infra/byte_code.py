"""Byte code for a deployment package: `/var/task` is read-only, so nobody else would write it.

Without it every cold start compiles every module that it imports, which was most of its time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from infra.errors import DeployError

TASK_ROOT = "/var/task"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PERMISSIONS = 0o100644 << 16


def compiled_name(source: str) -> str:
    """Where Python looks for the byte code of a source file, both as names in the zip."""
    folder, _, name = source.rpartition("/")
    cached = f"__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return f"{folder}/{cached}" if folder else cached


def lacking(names: list[str]) -> list[str]:
    """The source files among the names of a zip that have no byte code there."""
    present = set(names)
    return [name for name in names if name.endswith(".py") and compiled_name(name) not in present]


def add(package: Path) -> None:
    """Put byte code beside every source file that has none, in the same zip.

    The same sources give the same bytes: Python holds no date or hash against them
    (`unchecked-hash`), and the compiler runs in a fresh process with a fixed hash seed.

    Args:
        package: the zip; changed in place.

    Raises:
        DeployError: one does not compile.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive,
    ):
        sources = sorted(lacking(archive.namelist()))
        archive.extractall(folder, sources)
        _compile(Path(folder))
        for name in map(compiled_name, sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _PERMISSIONS
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (Path(folder) / name).read_bytes())


def _compile(folder: Path) -> None:
    arguments = ("-q", "-s", str(folder), "-p", TASK_ROOT, "--invalidation-mode", "unchecked-hash")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "compileall", *arguments, str(folder)],
        env={"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DeployError(f"the package does not compile: {done.stdout.strip()[-500:]}")
