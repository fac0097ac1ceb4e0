"""The default forecaster: its twin, what it may not see, what it does not change with, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests import naive
from workbench.detect.forecast import forecast, seasonal_naive, weekly_median
from workbench.detect.forecast.experts import experts
from workbench.detect.forecast.timescale import clock
from workbench.errors import InvalidInput, LimitExceeded

VALUES = st.one_of(st.floats(-1e3, 1e3, width=16), st.just(float("nan")), st.sampled_from([0.0, 1.0, 2.0]))
SIX_HOURS = 21_600.0


def season(n: int, t: int, seed: int = 0) -> np.ndarray:
    """Hourly series with a day, a week and noise."""
    at, rng = np.arange(t), np.random.default_rng(seed)
    pattern = 10 * np.sin(2 * np.pi * at / 24) + np.where(at // 24 % 7 < 5, 5.0, -5.0)
    return np.asarray(100 + pattern + rng.normal(size=(n, t)))


@pytest.mark.parametrize("step", [SIX_HOURS, 30_000.0, 86_400.0, 3_600.0])
@settings(max_examples=15)
@given(
    block=st.integers(1, 90).flatmap(lambda t: arrays(np.float64, (1, t), elements=VALUES)), horizon=st.integers(1, 40)
)
def test_it_forecasts_as_the_step_by_step_twin(block: np.ndarray, horizon: int, step: float) -> None:
    made = forecast(block, horizon, step)
    point, half = naive.forecast_default(block[0].tolist(), horizon, step, 0.9)
    np.testing.assert_allclose(made.point[0], point, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(made.high[0] - made.point[0], half, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("step", [SIX_HOURS, 30_000.0, 43_200.0])
@pytest.mark.parametrize("t", [70, 130])
def test_it_forecasts_as_the_twin_with_weeks_gaps_and_trend(t: int, step: float) -> None:
    rng = np.random.default_rng(t)
    week = np.sin(2 * np.pi * np.arange(t) * step / 604_800)
    block = (
        week * np.array([[1.0], [3], [0]]) + np.arange(t) * np.array([[0.0], [0.1], [1]]) + rng.normal(size=(3, t)) / 4
    )
    block[:, 20:24] = np.nan
    block[0, -9:] = np.nan
    made = forecast(block, 40, step, 0.8)
    for row in range(3):
        point, half = naive.forecast_default(block[row].tolist(), 40, step, 0.8)
        np.testing.assert_allclose(made.point[row], point, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(made.high[row] - made.point[row], half, rtol=1e-9, atol=1e-9)


@settings(max_examples=20)
@given(st.integers(30, 200), st.integers(0, 99), st.sampled_from([SIX_HOURS, 30_000.0, 86_400.0, 3_600.0]))
def test_what_experts_say_at_an_origin_rests_on_earlier_samples(t: int, seed: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((2, t)) < 0.1, np.nan, rng.normal(size=(2, t)))
    time = clock(t, step)
    said = experts(values, 30, time)
    k = int(rng.integers(0, len(time.origins)))
    other = values.copy()
    other[:, time.origins[k] :] = rng.normal(50.0, 10.0, (2, t - time.origins[k]))
    np.testing.assert_array_equal(experts(other, 30, time)[:, :, : k + 1], said[:, :, : k + 1])


def test_a_forecast_is_unchanged_by_later_samples() -> None:
    values = season(2, 1100)
    first = forecast(values[:, :900], 168, 3600.0)
    values[:, 900:] = 1e6
    again = forecast(values[:, :900], 168, 3600.0)
    for name in ("point", "low", "high", "weights", "error"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@settings(max_examples=25)
@given(
    st.integers(0, 99),
    st.integers(20, 400),
    st.integers(-300, 300),
    st.floats(-1e3, 1e3),
    st.sampled_from([3600.0, 43_200.0]),
)
def test_it_scales_and_shifts_with_the_series(seed: int, t: int, power: int, shift: float, step: float) -> None:
    values = season(2, t, seed) - 100
    base = forecast(values, 50, step)
    scaled = forecast(np.ldexp(values, power), 50, step)
    for name in ("point", "low", "high"):
        np.testing.assert_array_equal(getattr(scaled, name), np.ldexp(getattr(base, name), power))
    np.testing.assert_array_equal(scaled.weights, base.weights)
    moved, flipped = forecast(values + shift, 50, step), forecast(-values, 50, step)
    np.testing.assert_allclose(moved.point, base.point + shift, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(moved.high - moved.low, base.high - base.low, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flipped.point, -base.point, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flipped.low, -base.high, rtol=1e-9, atol=1e-9)


def test_a_series_is_forecast_alone() -> None:
    values = season(40, 500)
    values[3] = np.nan
    whole = forecast(values, 168, 3600.0)
    for row in (0, 3, 17, 39):
        alone = forecast(values[row : row + 1], 168, 3600.0)
        np.testing.assert_allclose(whole.point[row], alone.point[0], rtol=1e-12)
        np.testing.assert_allclose(whole.low[row], alone.low[0], rtol=1e-12)


def test_seasons_are_worth_their_history() -> None:
    """Level below two days, days below two weeks, weeks from then on."""
    names = {t: forecast(season(1, t), 24, 3600.0).describe(0) for t in (30, 47, 48, 335, 336, 1176)}
    assert names[30] == names[47] == "level 100%"
    assert "daily" in names[48]
    assert "weekly" not in names[335]
    assert "weekly" in names[336]
    assert "weekly" in names[1176]
    future = season(1, 1176 + 168)
    made = forecast(future[:, :1176], 168, 3600.0)
    assert np.abs(made.point - future[:, 1176:]).mean() < 1.1  # the noise itself leaves 0.8


@pytest.mark.parametrize("step", [600.0, 1800.0, 7200.0, 10_000.0])
def test_a_day_is_a_day_at_any_step(step: float) -> None:
    t = np.arange(int(30 * 86_400 / step))
    values = np.sin(2 * np.pi * (t * step) / 86_400.0)[None]
    known = int(len(t) * 0.8)
    made = forecast(values[:, :known], len(t) - known, step)
    wide = 2 * np.pi * step / 86_400  # a step that does not divide the day leaves up to half a step of phase
    assert np.abs(made.point - values[:, known:]).max() < (1e-9 if 86_400 % step == 0 else wide)


def test_trends_are_followed_and_only_where_they_pay() -> None:
    t, rng = np.arange(1344), np.random.default_rng(3)
    steep = 0.05 * t + season(30, 1344)
    flat = season(30, 1344)
    found, still = forecast(steep[:, :1176], 168, 3600.0), forecast(flat[:, :1176], 168, 3600.0)
    assert found.weights[:, 6:].sum(1).min() > 0.9
    assert still.weights[:, 6:].max() == 0
    assert np.abs(found.point - steep[:, 1176:]).mean() < 1.5
    exact = forecast((rng.normal(size=(3, 1)) * t)[:, :1176], 168, 3600.0)
    np.testing.assert_allclose(exact.high - exact.low, 0, atol=1e-9)


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(5)
    noise = 100 + rng.normal(size=(60, 1344)) * 5
    changing = season(60, 1344) + np.where(np.arange(1344) > 600, 4.0, 1.0) * rng.normal(size=(60, 1344))
    # Noise that grew three and a half weeks ago is mostly, not wholly, taken in.
    for values, near in ((noise, 0.04), (changing, 0.09)):
        for level in (0.5, 0.8, 0.95):
            made = forecast(values[:, :1176], 168, 3600.0, level)
            inside = (values[:, 1176:] >= made.low) & (values[:, 1176:] <= made.high)
            assert abs(inside.mean() - level) < near


def test_gaps_and_missing_weeks_are_bridged() -> None:
    values = season(1, 1344)
    future = values[:, 1176:].copy()
    values[:, 1000:1170] = np.nan
    values[:, 300:320] = np.nan
    made = forecast(values[:, :1176], 168, 3600.0)
    assert np.isfinite(made.point).all()
    assert np.isfinite(made.low).all()
    assert np.abs(made.point - future).mean() < 2


@pytest.mark.parametrize(
    "row",
    [
        [], [np.nan] * 60, [5.0], [5.0, 6.0], [7.0] * 500, [1e308, -1e308] * 200, [5e-324] * 100, [np.inf, -np.inf, 1.0] * 60,
        [1.0, *[np.nan] * 400], [*[np.nan] * 400, 1.0], [0.0] * 300, np.arange(400) * 5e-324, np.arange(400) * 1e305,
    ],
)  # fmt: skip
def test_bad_input_has_a_defined_answer(row: list[float]) -> None:
    values = np.array([row], np.float64).reshape(1, -1)
    for step in (15.0, 3600.0, 86_400.0, 1e7, 1e-3):
        made = forecast(values, 30, step)
        assert made.point.shape == made.low.shape == made.high.shape == (1, 30)
        known = np.isfinite(values).any()
        assert np.isfinite(made.point).all() if known else np.isnan(made.point).all()
        assert not (made.low > made.point).any()
        assert not (made.high < made.point).any()
        assert made.describe(0) == "none" if not known else made.describe(0)
    if len(row) and len(set(row)) == 1 and np.isfinite(row[0]):
        np.testing.assert_array_equal(made.point, row[0])


def test_no_series_at_all() -> None:
    assert forecast(np.empty((0, 50)), 10, 3600.0).point.shape == (0, 10)


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"horizon": 0}, InvalidInput, "not a whole number of steps"),
        ({"horizon": 2.5}, InvalidInput, "not a whole number of steps"),
        ({"horizon": 20_001}, LimitExceeded, "longer step"),
        ({"step_s": 0.0}, InvalidInput, "positive number of seconds"),
        ({"step_s": float("nan")}, InvalidInput, "positive number of seconds"),
        ({"level": 1.0}, InvalidInput, "between 0 and 1"),
        ({"values": np.zeros(5)}, InvalidInput, "give two"),
    ],
)
def test_arguments_are_checked(change: dict[str, object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        forecast(**{"values": np.zeros((1, 50)), "horizon": 5, "step_s": 60.0, **change})  # type: ignore[arg-type]


def test_the_simple_forecasts_are_what_their_names_say() -> None:
    values = season(2, 800)
    time = clock(800, 3600.0)
    np.testing.assert_array_equal(seasonal_naive(values, 200, time)[:, :168], values[:, -168:])
    np.testing.assert_array_equal(seasonal_naive(values, 200, time)[:, 168:], values[:, -168:-136])
    four = values[:, -4 * 168 :].reshape(2, 4, 168)
    np.testing.assert_allclose(weekly_median(values, 168, time), np.median(four, axis=1))
    values[:, -168:] = np.nan
    np.testing.assert_array_equal(seasonal_naive(values, 168, time), values[:, -336:-168])
