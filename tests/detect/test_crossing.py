"""Intervals, crossings, challengers, and the labelled forecast."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.detect.forecast import Forecast, challengers, choose, crossing, crossings, error_paths, forecast_metrics
from workbench.errors import InvalidInput, LimitExceeded, MissingDependency, ShapeError
from workbench.signals import build_metrics

HOUR = np.timedelta64(3600, "s")
WEEK_NS = 7 * 86_400 * 10**9


def metrics(values: np.ndarray, step: np.timedelta64 = HOUR) -> xr.DataArray:
    time = np.datetime64("2026-01-05", "ns") + np.arange(values.shape[1]) * step
    labels = [{"metric": "load", "service": f"s{i}"} for i in range(len(values))]
    return build_metrics(values, time, labels, {"unit": "By"})


def wave(n: int, t: int) -> np.ndarray:
    at, rng = np.arange(t), np.random.default_rng(1)
    return np.asarray(50 + 10 * np.sin(2 * np.pi * at / 24) + rng.normal(size=(n, t)))


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(0, 9), st.integers(1, 12), st.booleans())
def test_crossings_are_counted_path_by_path(seed: int, p: int, h: int, above: bool) -> None:
    rng = np.random.default_rng(seed)
    paths, limit = rng.normal(size=(2, p, h)), rng.normal(size=2)
    share, step = crossing(paths, limit, np.full(2, above), (0.1, 0.5, 1.0))
    for row in range(2):
        first = sorted(naive.first_crossing(path, float(limit[row]), above) for path in paths[row].tolist())
        if not first:
            assert np.isnan(share[row])
            continue
        assert share[row] == pytest.approx(np.isfinite(first).mean())
        for column, q in enumerate((0.1, 0.5, 1.0)):
            wanted = first[int(np.ceil(q * p)) - 1]
            assert step[row, column] == wanted if np.isfinite(wanted) else np.isnan(step[row, column])


def test_paths_go_on_where_an_origin_saw_no_further() -> None:
    paths = error_paths(np.array([[[1.0, 2.0, 3.0, 4.0], [1.0, np.nan, 2.0, np.nan], [np.nan] * 4]]))
    np.testing.assert_allclose(paths[0, 1], [1, 1, 2, 2 * np.sqrt(4 / 3)])
    np.testing.assert_array_equal(paths[0, 3:], -paths[0, :3])
    np.testing.assert_array_equal(paths[0, 2], 0.0)


def test_a_probability_is_as_often_right_as_it_says() -> None:
    """Of noise around a level, the share of series that do cross is the mean of what was said of them."""
    values = np.random.default_rng(4).normal(size=(200, 700))
    made = forecast_metrics(metrics(values[:, :676]), 24 * 3600 * 10**9)
    said = crossings(made, 2.2)["probability"].mean()
    happened = (values[:, 676:] >= 2.2).any(1).mean()
    assert abs(said - happened) < 0.12


def test_a_labelled_forecast_keeps_series_units_and_says_how_it_was_made() -> None:
    made = forecast_metrics(metrics(wave(3, 500)), WEEK_NS)
    assert isinstance(made, Forecast)
    assert dict(made["forecast"].sizes) == {"series": 3, "time": 168}
    assert made["time"].values[0] == made["past"].values[-1] + HOUR
    assert made.attrs["models"] == ["default"] * 3
    assert made.attrs["unit"] == "By"
    assert len(made.attrs["errors"]) == 3
    one = made.sel(service="s1")
    assert isinstance(one, Forecast)
    np.testing.assert_array_equal(one["forecast"].values[0], made["forecast"].values[1])
    assert one["error"].values[0] == made.attrs["errors"][1]
    table = one.crossings(58.0)
    assert table.loc[0, "service"] == "s1"
    assert table.loc[0, "probability"] > 0.9
    assert table.loc[0, "time_10"] <= table.loc[0, "time_50"]
    below = one.crossings(58.0, above=False, quantiles=(0.5,))
    assert below.loc[0, "time_50"] == made["time"].values[0]


@pytest.mark.parametrize(
    ("values", "horizon", "kind", "says"),
    [
        (wave(1, 1), WEEK_NS, ShapeError, "two or more"),
        (wave(1, 0), WEEK_NS, ShapeError, "two or more"),
        (wave(1, 50), 0, InvalidInput, "not ahead"),
        (wave(1, 50), 10**9 * 3600 * 20_001, LimitExceeded, "longer step"),
    ],
)
def test_what_cannot_be_forecast_is_said(values: np.ndarray, horizon: int, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        forecast_metrics(metrics(values), horizon)


def test_uneven_times_and_other_datasets_are_refused() -> None:
    whole = metrics(wave(1, 50))
    with pytest.raises(ShapeError, match="equally distant"):
        forecast_metrics(whole.isel(time=[0, 1, 5, 9]), WEEK_NS)
    with pytest.raises(ShapeError, match="lacks forecast, history, residuals"):
        crossings(xr.Dataset(), 1.0)
    made = forecast_metrics(whole, WEEK_NS)
    for threshold, quantiles in ((np.nan, (0.5,)), (1.0, ()), (1.0, (0.0,))):
        with pytest.raises(InvalidInput, match="give"):
            made.crossings(threshold, quantiles=quantiles)
    with pytest.raises(InvalidInput, match="did you mean 'sarimax'"):
        forecast_metrics(whole, WEEK_NS, model="sarima")


def test_no_series_and_no_samples_are_no_error() -> None:
    for values in (np.empty((0, 50)), np.full((2, 50), np.nan)):
        made = forecast_metrics(metrics(values), WEEK_NS)
        assert np.isnan(made["forecast"].values).all()
        assert len(made.crossings(5.0)) == len(values)


def test_a_challenger_replaces_the_default_only_where_it_wins_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows the answer of the first series takes that one; as good as the default is not enough."""
    values = wave(2, 600)
    future = 50 + 10 * np.sin(2 * np.pi * np.arange(800) / 24)

    def oracle(history: np.ndarray, horizon: int, day: float, week: float) -> np.ndarray:
        t = len(history)
        known = future[t : t + horizon]
        raw = values[:, :t]
        scaled = (raw - np.median(raw, axis=1, keepdims=True)) / raw.std(axis=1, keepdims=True)
        row = int(np.abs(scaled - history).sum(1).argmin())
        exact = values[row, t : t + horizon] if t < 600 else known
        exact = np.concatenate([exact, known[len(exact) :]])
        said = exact if row == 0 else np.full(horizon, 1e3)
        return np.asarray((said - np.median(raw[row])) / raw[row].std())

    monkeypatch.setattr(challengers, "CHALLENGERS", {"ets": oracle})
    monkeypatch.setattr("workbench.detect.forecast.choice.available", lambda: ("ets",))
    made, models = choose(values, 100, 3600.0, model="auto")
    assert models == ("ets", "default")
    np.testing.assert_allclose(made.point[0], future[600:700], atol=1e-9)
    assert made.error[0] < 1e-9
    assert made.weights[0].sum() == 0
    np.testing.assert_array_equal(made.point[1], choose(values, 100, 3600.0)[0].point[1])


def test_a_challenger_that_fails_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> np.ndarray:
        raise ValueError("no convergence")

    monkeypatch.setattr(challengers, "CHALLENGERS", {"ets": broken})
    values = wave(1, 300)
    made, models = choose(values, 24, 3600.0, model="ets")
    assert models == ("default",)
    assert np.isfinite(made.point).all()


def test_theta_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.detect.forecast.choice.available", lambda: ("ets", "sarimax"))
    with pytest.raises(MissingDependency, match="statsforecast"):
        choose(wave(1, 50), 5, 3600.0, model="theta")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ets", "sarimax"])
def test_real_challengers_forecast_a_wave(model: str) -> None:
    values = wave(1, 600)
    values[0, 100:110] = np.nan
    made, models = choose(values[:, :552], 48, 3600.0, model=model)
    assert models == (model,)
    assert np.abs(made.point - values[:, 552:]).mean() < 1.5
    assert np.isfinite(made.low).all()
    for row in (np.full((1, 300), 4.0), np.full((1, 300), np.nan), wave(1, 12), np.full((1, 300), 1e308)):
        made, _ = choose(row, 20, 3600.0, model=model)
        assert made.point.shape == (1, 20)


@pytest.mark.slow
def test_auto_tries_what_is_installed() -> None:
    _, models = choose(wave(1, 400), 24, 3600.0, model="auto")
    assert models[0] in ("default", *challengers.available())
