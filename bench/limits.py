"""What the ratios may be at most; `make bench CHECK=1` fails above that."""

from __future__ import annotations

from typing import Any

LIMITS = {
    "cold_start": ("elapsed_ms", 1.3),
    "heartbeat": ("cpu_ms", 1.25),
    "exchange": ("cpu_ms", 1.25),
}
"""By measurement: which of its figures, and the most that its median ratio may be."""

AGENT_LIMITS = {"rss_mb": 60.0, "cpu_percent": 0.5}
"""Of the host agent that beats every 30 s: the most that each figure may be."""


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
    ] + [*_too_large(results), *_too_heavy(results)]


def _too_large(results: dict[str, Any]) -> list[str]:
    size, most = results["package"]["zip_bytes"], results["package"]["limit_bytes"]
    return [f"the zip has {size} bytes, and Lambda takes {most}"] if size > most else []


def _too_heavy(results: dict[str, Any]) -> list[str]:
    """Which figures of the host agent are above their limits."""
    return [
        f"agent {figure}: {results['agent'][figure]}, and at most {most:g} is allowed"
        for figure, most in AGENT_LIMITS.items()
        if results["agent"][figure] > most
    ]
