import pytest

from bench.figures import Compared, Spread, percentile
from bench.limits import AGENT_LIMITS, LIMITS, exceeded


def results(**ratios: float) -> dict[str, object]:
    measured: dict[str, object] = {
        name: {figure: {"ratio": {"median": ratios.get(name, most)}}}
        for name, (figure, most) in LIMITS.items()
    }
    package = {"zip_bytes": 1, "limit_bytes": 2}
    return {**measured, "package": package, "agent": dict(AGENT_LIMITS)}


def test_ratios_at_their_limits_pass() -> None:
    assert exceeded(results()) == []


@pytest.mark.parametrize("name", LIMITS)
def test_each_ratio_above_its_limit_is_named(name: str) -> None:
    (line,) = exceeded(results(**{name: 1.31}))
    assert line.startswith(name.replace("_", " "))
    assert "1.31" in line


def test_a_zip_that_lambda_does_not_take_is_named() -> None:
    (line,) = exceeded({**results(), "package": {"zip_bytes": 3, "limit_bytes": 2}})
    assert "3 bytes" in line


@pytest.mark.parametrize("figure", AGENT_LIMITS)
def test_an_agent_that_takes_more_of_its_host_than_is_allowed_is_named(figure: str) -> None:
    heavy = {**AGENT_LIMITS, figure: AGENT_LIMITS[figure] + 0.1}
    (line,) = exceeded({**results(), "agent": heavy})
    assert figure in line


def test_ratios_are_taken_pair_by_pair() -> None:
    # The machine became twice as slow after the second pair: no pair's ratio shows it.
    compared = Compared.of([(2.2, 2.0), (2.2, 2.0), (4.4, 4.0), (4.4, 4.0)])
    assert compared.ratio.median == pytest.approx(1.1)
    assert compared.ratio.low == compared.ratio.high


def test_a_spread_has_the_quartiles_around_its_median() -> None:
    assert Spread.of([1, 2, 3, 4, 5]) == Spread(3, 2, 4, 5)


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile(range(100, 0, -1), percent) == value
