"""Which modules the import of `app` spends its time in, from the unpacked package."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOP = 15
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)")
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); import app"


def measure(package: Path, environ: Mapping[str, str], runs: int) -> dict[str, Any]:
    """Medians over some fresh processes, of each module alone and with what it imports first."""
    alone: dict[str, list[int]] = defaultdict(list)
    together: dict[str, list[int]] = defaultdict(list)
    for _ in range(runs):
        for own, cumulative, name in _LINE.findall(_report(package, environ)):
            alone[name].append(int(own))
            together[name].append(int(cumulative))
    medians = {name: statistics.median(values) for name, values in alone.items()}
    slowest = sorted(medians, key=lambda name: -medians[name])[:TOP]
    return {
        "modules": len(medians),
        "total_ms": round(sum(medians.values()) / 1000, 1),
        "slowest": [
            {
                "module": name,
                "alone_ms": round(medians[name] / 1000, 2),
                "with_its_imports_ms": round(statistics.median(together[name]) / 1000, 2),
            }
            for name in slowest
        ],
    }


def _report(package: Path, environ: Mapping[str, str]) -> str:
    python = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [python, "-X", "importtime", "-I", "-S", "-B", "-c", _PROGRAM, str(package)],
        cwd=package,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stderr
