"""Calls functions of install.sh, many times in one bash process."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

SHELL: Final = Path("chalicelib/install/install.sh")
SLOWEST: Final = 120
# What `main` does before it reads anything.
_BEGINNING: Final = "export LC_ALL=C; list_marks; decommission=0; config_dir=/; prefix=\n"


def call(driver: str, *arguments: str, **environment: str) -> list[str]:
    """Run lines of bash behind the functions of the script; return what they print, cut at NUL."""
    text = SHELL.read_text()
    functions = text[: text.rindex("{ main ")]
    done = subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "-c", functions + _BEGINNING + driver, "bash", *arguments],
        capture_output=True,
        timeout=SLOWEST,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]
