"""Copies of this checkout, as a clone would be: what git knows, without anything generated."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from infra.deploy import ROOT

PACKAGES = Path("build") / "packages"


def clone(target: Path) -> Path:
    """Copy the checkout with what is not committed yet; it shares the cache of packages.

    Only this cache: with it a deployment downloads nothing.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    (ROOT / PACKAGES).mkdir(parents=True, exist_ok=True)
    (target / PACKAGES).parent.mkdir(parents=True)
    (target / PACKAGES).symlink_to(ROOT / PACKAGES)
    return target
