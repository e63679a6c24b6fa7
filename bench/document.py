"""Puts the results of the last run into `docs/benchmarks.md`, below its last heading."""

from __future__ import annotations

from typing import Any

from bench.processes import ProcessError
from bench.report import render
from infra.deploy import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
_HEADING = "## Results\n"


def publish(results: dict[str, Any]) -> None:
    """Replace what stands below the heading."""
    DOCUMENT.write_text(document(render(results)), "utf-8")


def document(tables: str) -> str:
    """The document with these tables below its last heading.

    Raises:
        ProcessError: it has no such heading.
    """
    before, heading, _ = DOCUMENT.read_text("utf-8").partition(_HEADING)
    if not heading:
        raise ProcessError(f"{DOCUMENT.relative_to(ROOT)} has no heading {_HEADING.strip()!r}")
    return f"{before}{_HEADING}\n{tables}"
