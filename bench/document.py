"""Puts the results of the last run into `docs/benchmarks.md`, below its last heading."""

from __future__ import annotations

from typing import Any

from bench.report import render
from infra.deploy import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
_HEADING = "## Results\n"


def publish(results: dict[str, Any]) -> None:
    """Replace what stands below the heading."""
    before, _, _ = DOCUMENT.read_text("utf-8").partition(_HEADING)
    DOCUMENT.write_text(f"{before}{_HEADING}\n{render(results)}", "utf-8")
