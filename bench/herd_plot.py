"""The herd's requests per second as an SVG, written by hand: no library draws so little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10
from typing import Final

Panel = tuple[str, Sequence[int], Sequence[int]]

WIDTH: Final = 760
PANEL: Final = 190
LEFT: Final = 70
PLOT_WIDTH: Final = 660
PLOT_HEIGHT: Final = 110
# Logarithmic: the herd and the fair share are a factor of sixty apart.
TICKS: Final = (10, 100, 1000, 10_000)
BEFORE: Final = "#c0392b"
AFTER: Final = "#1f6f8b"
GREY: Final = "#666"


def draw(panels: Sequence[Panel], fair: float) -> str:
    """Draw one panel below the other."""
    height = 40 + PANEL * len(panels)
    view = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        "<title>Requests per second of 10,000 agents that come back at the same instant</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(LEFT, 20, "before: interval counted from the answer", BEFORE),
        _text(LEFT + 260, 20, "after: a slot that follows from the id", AFTER),
        _text(LEFT + 500, 20, f"- - fair share, {fair:.0f}/s", GREY),
    ]
    for place, panel in enumerate(panels):
        lines += _panel(panel, 40 + place * PANEL, fair)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, top: int, fair: float) -> Iterator[str]:
    title, before, after = panel
    base = top + 30 + PLOT_HEIGHT
    busiest = f"busiest second {max(before):,} before, {max(after):,} after"
    yield _text(LEFT, top + 18, f"{title}: {busiest}", "black")
    for tick in TICKS:
        y = base - _height(tick)
        yield f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="#ddd"/>'
        yield _text(LEFT - 6, y + 4, f"{tick:,}/s", GREY, "end")
    seconds = len(after)
    for second in range(0, seconds + 1, 30):
        x = LEFT + PLOT_WIDTH * second / seconds
        yield _text(x, base + 16, f"{second} s", GREY, "middle")
    y = base - _height(fair)
    yield f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="#666" stroke-dasharray="4 4"/>'
    for counts, colour in ((before, BEFORE), (after, AFTER)):
        yield f'<path d="{_steps(counts, base)}" fill="none" stroke="{colour}" stroke-width="1.2"/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{text}</text>'


def _steps(counts: Sequence[int], base: int) -> str:
    width = PLOT_WIDTH / len(counts)
    points = [
        f"{LEFT + place * width:.1f} {base - _height(n):.1f}h{width:.2f}"
        for place, n in enumerate(counts)
    ]
    return "M" + "L".join(points)


def _height(requests: float) -> float:
    """Return how far above the base a rate is drawn; one request and none look alike."""
    return log10(max(requests, 1.0)) / log10(TICKS[-1]) * PLOT_HEIGHT
