"""The deployment package, built as `make deploy` builds it, and unpacked as Lambda does."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.children import run_child
from infra.console import say
from infra.deploy import ROOT

LIMIT = 50 * 2**20
_CACHE = ROOT / "build" / "packages"
_SOURCES = ("app.py", "chalicelib", "requirements.txt")


@dataclass(frozen=True)
class Package:
    """The zip, and the folder that it was unpacked to."""

    zip: Path
    folder: Path

    def sizes(self) -> dict[str, Any]:
        """Of the zip and of what is in it, by its largest parts."""
        parts: dict[str, int] = defaultdict(int)
        with zipfile.ZipFile(self.zip) as archive:
            entries = archive.infolist()
        for entry in entries:
            parts[entry.filename.split("/", 1)[0]] += entry.compress_size
        largest = sorted(parts.items(), key=lambda part: -part[1])[:6]
        return {
            "zip_bytes": self.zip.stat().st_size,
            "limit_bytes": LIMIT,
            "unpacked_bytes": sum(entry.file_size for entry in entries),
            "largest_parts": dict(largest),
        }


def build(run_dir: Path) -> Package:
    """Build it of the checkout's sources; a bundle of requirements that was built once is reused.

    Raises:
        DeployError: it is not complete.
    """
    project, folder = run_dir / "project", run_dir / "task"
    for name in _SOURCES:
        _copy(ROOT / name, project / name)
    run_child(
        [sys.executable, "-m", "infra.package", str(project), str(_CACHE)],
        cwd=ROOT,
        environ=os.environ,
        say=say,
        what="building the deployment package",
    )
    (built,) = (project / ".chalice" / "deployments").glob("*.zip")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    return Package(built, folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
