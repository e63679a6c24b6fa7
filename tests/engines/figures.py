"""Figures that tests measure, kept for `docs/figures.md`: one file for each, below `build/`."""

from __future__ import annotations

import json
from typing import Any

from infra.deploy import ROOT


def note(name: str, figures: dict[str, Any]) -> None:
    """Write what was measured, in the place of what was measured before."""
    folder = ROOT / "build" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
