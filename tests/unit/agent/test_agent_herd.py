"""10,000 agents that come back at the same instant, decided by the agent's own state machine."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.herd import (
    AGENTS,
    INTERVAL,
    SCENARIOS,
    Counting,
    Scenario,
    Slotted,
    per_second,
    simulate,
)
from bench.herd_plot import draw

FAIR_SHARE = AGENTS / INTERVAL


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_fleet_that_returns_at_one_instant_is_spread_out_within_one_interval(
    scenario: Scenario,
) -> None:
    counts = per_second(simulate(scenario, Slotted))
    told_to_wait = int((scenario.told and scenario.told.retry_after) or 0)
    assert sum(counts[:told_to_wait]) == 0
    assert sum(counts[told_to_wait : told_to_wait + INTERVAL + 1]) >= AGENTS
    assert max(counts) <= 1.5 * FAIR_SHARE
    # And stays spread: the next interval is no busier than the first.
    assert max(counts[-INTERVAL:]) <= 1.5 * FAIR_SHARE


def test_the_schedule_before_it_was_a_herd_so_the_simulation_can_show_one() -> None:
    counts = per_second(simulate(SCENARIOS[0], Counting))
    assert max(counts) == AGENTS


def test_the_drawing_is_a_picture_with_one_panel_for_each_scenario() -> None:
    panels = [(scenario.title, [10_000, 0, 5], [170, 160, 150]) for scenario in SCENARIOS]
    picture = draw(panels, fair=FAIR_SHARE)
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    for scenario in SCENARIOS:
        assert any(scenario.title in text and "10,000 before" in text for text in texts)
