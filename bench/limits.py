"""What the ratios may be at most; `make bench CHECK=1` fails above that."""

from __future__ import annotations

from typing import Any

LIMITS = {
    "cold_start": ("elapsed_ms", 1.3),
    "heartbeat": ("cpu_ms", 1.25),
    "exchange": ("cpu_ms", 1.25),
}
"""By measurement: which of its figures, and the most that its median ratio may be."""


def ratio(results: dict[str, Any], name: str) -> float:
    """The ratio that a limit is for."""
    figure, _ = LIMITS[name]
    return float(results[name][figure]["ratio"]["median"])


def exceeded(results: dict[str, Any]) -> list[str]:
    """Which ratios are above their limits, in words; empty if none is."""
    return [
        f"{name.replace('_', ' ')}: {ratio(results, name):.2f}, and at most {most} is allowed"
        for name, (_, most) in LIMITS.items()
        if ratio(results, name) > most
    ] + _too_large(results)


def _too_large(results: dict[str, Any]) -> list[str]:
    size, most = results["package"]["zip_bytes"], results["package"]["limit_bytes"]
    return [f"the zip has {size} bytes, and Lambda takes {most}"] if size > most else []
