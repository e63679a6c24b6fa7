"""Medians and spreads: the same few figures for everything that is measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it."""

    median: float
    low: float
    high: float
    samples: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    def document(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Compared:
    """Ours against the floor. The ratio is taken pair by pair, in one run."""

    ours: Spread
    floor: Spread
    ratio: Spread

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Compared:
        """Of (ours, floor) pairs that were measured one right after the other."""
        return cls(
            Spread.of([ours for ours, _ in pairs]),
            Spread.of([floor for _, floor in pairs]),
            Spread.of([ours / floor for ours, floor in pairs]),
        )

    def document(self) -> dict[str, dict[str, float]]:
        """For JSON."""
        return {
            "ours": self.ours.document(),
            "floor": self.floor.document(),
            "ratio": self.ratio.document(),
        }


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
