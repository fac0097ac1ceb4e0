"""Breaks, slopes, seasons, and when a limit is reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.detect.forecast.changes import changes
from workbench.detect.forecast.exhaustion import exhaust
from workbench.detect.forecast.growth import grow

HOUR = 3600.0


def hourly(n: int, days: int, slope: float = 0.0, seed: int = 0) -> np.ndarray:
    at, rng = np.arange(days * 24), np.random.default_rng(seed)
    pattern = 5 * np.sin(2 * np.pi * at / 24) + np.where(at // 24 % 7 < 5, 3.0, -3.0)
    return np.asarray(100 + slope * at + pattern + rng.normal(size=(n, len(at))))


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(0, 60), st.integers(0, 3))
def test_breaks_are_those_of_the_recursive_twin(seed: int, t: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, t)) * 0.02
    for place in rng.integers(0, max(t, 1), steps):
        values[0, place:] += 0.5
        values[1, place:] += 0.01 * np.arange(t - place)
    values[:, rng.random(t) < 0.1] = np.nan
    found = changes(values)
    for row in range(2):
        assert np.flatnonzero(found[row]).tolist() == naive.broken_line(values[row].tolist(), 0, t)


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(3, 40))
def test_the_slope_is_the_median_of_all_pairs(seed: int, t: int) -> None:
    """At a step of a day there is no season to take off in the first two weeks, and no break in the first fourteen."""
    values = np.random.default_rng(seed).normal(size=(1, min(t, 13)))
    found = grow(values, 86_400.0)
    np.testing.assert_allclose(found.slope[0], naive.theil_sen(values[0].tolist()), rtol=1e-9)


def test_growth_is_split_into_trend_season_and_breaks() -> None:
    steady, dropped = hourly(5, 60, 0.05), hourly(5, 60, 0.05)
    dropped[:, 912:] -= 30
    for values, breaks in ((steady, []), (dropped, [912])):
        found = grow(values, HOUR)
        assert np.abs(found.slope - 0.05).max() < 0.005
        assert np.flatnonzero(found.breaks.any(0)).tolist() == breaks
        assert (found.slope_low <= 0.0503).all()
        assert (found.slope_high >= 0.0497).all()
        assert np.abs(found.season - 15).max() < 2
        assert np.abs(found.noise - 0.7).max() < 0.6
        assert np.abs(found.trend[:, -1] - found.level).max() < 1
    bent = hourly(5, 60) + 0.05 * np.maximum(np.arange(1440) - 800, 0)
    found = grow(bent, HOUR)
    assert np.abs(found.slope - 0.05).max() < 0.006
    assert found.breaks.any(1).all()


def test_noise_neither_grows_nor_breaks_nor_has_a_season() -> None:
    found = grow(np.random.default_rng(1).normal(size=(300, 1440)), HOUR)
    assert found.breaks.any(1).mean() < 0.02
    assert found.season.max() == 0
    covered = ((found.slope_low <= 0) & (found.slope_high >= 0)).mean()
    assert 0.84 < covered < 0.97


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(-200, 200), st.integers(30, 1000))
def test_growth_scales_with_the_series(seed: int, power: int, t: int) -> None:
    values = hourly(2, 42, 0.05, seed)[:, :t]
    one, other = grow(values, HOUR), grow(np.ldexp(values, power), HOUR)
    for name in ("level", "slope", "slope_low", "slope_high", "peak", "trough", "season", "noise", "trend"):
        np.testing.assert_array_equal(getattr(other, name), np.ldexp(getattr(one, name), power))
    np.testing.assert_array_equal(one.breaks, other.breaks)


def test_a_limit_is_reached_when_the_peak_gets_there() -> None:
    values = hourly(4, 60, 0.05)
    grown = grow(values, HOUR)
    found = exhaust(grown, np.array([200.0, 150.0, np.nan, 1e9]), np.full(4, True), 24 * 30)
    ahead = (200 - grown.level[0] - grown.peak[0]) / grown.slope[0]
    assert found.expected[0] == pytest.approx(ahead)
    assert found.soonest[0] < found.expected[0] < found.latest[0]
    np.testing.assert_allclose(found.probability, [1.0, 1.0, np.nan, 0.0], atol=1e-6)
    assert found.expected[1] == 0
    assert found.headroom[1] < 0
    assert np.isnan(found.expected[2])
    assert found.headroom_least[0] < found.headroom_then[0] < found.headroom[0]


def test_falling_is_rising_upside_down() -> None:
    values = hourly(3, 60, 0.05)
    up, down = grow(values, HOUR), grow(-values, HOUR)
    rise, fall = (
        exhaust(up, np.full(3, 250.0), np.full(3, True), 500),
        exhaust(down, np.full(3, -250.0), np.full(3, False), 500),
    )
    for name in ("headroom", "soonest", "expected", "latest", "probability"):
        np.testing.assert_allclose(getattr(rise, name), getattr(fall, name), rtol=1e-9)


def test_what_does_not_grow_is_never_exhausted() -> None:
    found = exhaust(grow(np.full((1, 500), 5.0), HOUR), np.array([6.0]), np.array([True]), 100)
    assert found.expected[0] == np.inf
    assert found.probability[0] == 0
    falling = exhaust(grow(hourly(1, 60, -0.05), HOUR), np.array([500.0]), np.array([True]), 100)
    assert falling.latest[0] == falling.soonest[0] == np.inf


@pytest.mark.parametrize(
    "row",
    [
        [], [5.0], [1.0, 2.0], [np.nan] * 100, [7.0] * 400, [1e308, -1e308] * 200, np.arange(400) * 5e-324, [np.inf] * 50,
        [1.0, *[np.nan] * 99], np.arange(400) * 4e305,
    ],
)  # fmt: skip
def test_bad_input_has_a_defined_answer(row: list[float]) -> None:
    values = np.array([row], np.float64).reshape(1, -1)
    for step in (15.0, 3600.0, 86_400.0, 1e7):
        found = grow(values, step)
        assert found.trend.shape == found.breaks.shape == values.shape
        ends = exhaust(found, np.array([10.0]), np.array([True]), 100.0)
        assert np.isnan(ends.probability[0]) or 0 <= ends.probability[0] <= 1
    assert grow(np.empty((0, 9)), 60.0).level.shape == (0,)
