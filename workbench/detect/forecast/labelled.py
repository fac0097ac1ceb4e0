"""Forecasts with labels: a metrics array in, a dataset with the same series and later times out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.detect.forecast.choice import choose
from workbench.detect.forecast.default import MOST_STEPS, Prediction
from workbench.detect.forecast.futures import crossing, error_paths
from workbench.errors import InvalidInput, LimitExceeded, ShapeError
from workbench.signals import build_metrics, check_metrics, labels_of

__all__ = ["Forecast", "crossings", "forecast_metrics"]

_NS = 1e9


class Forecast(xr.Dataset):  # type: ignore[no-untyped-call]
    """A forecast: dims (series, time), with the history it rests on over `past`.

    Variables `forecast`, `low`, `high`, float64 of shape (series, time); `history`, shape (series, past);
    `residuals`, shape (series, origin, time): how far forecasts from earlier origins were off. and per
    series `model`, `blend` (of the default, in words) and `error` (mean absolute backtest error, in its unit).
    Attributes: `models` and `errors` as lists, `level`, `step_s`, `unit`.
    """

    __slots__ = ()

    def show(self, **options: Any) -> Any:
        """Return the panel `forecast`; options are those of its `prepare`, such as `threshold=0.9`."""
        from workbench import registry

        return registry.load("workbench.panels", "forecast")().figure(self, **options)

    def crossings(self, threshold: float, **options: Any) -> pd.DataFrame:
        """Return when each series will cross a threshold, and how likely; see `crossings`."""
        return crossings(self, threshold, **options)


def forecast_metrics(array: xr.DataArray, horizon_ns: int, level: float = 0.9, model: str = "default") -> Forecast:
    """Forecast a metrics array on a regular grid.

    Parameters
    ----------
    array : DataArray, shape (n, t)
        At least two times, equally far apart.
    horizon_ns : int
        How far ahead, in nanoseconds; rounded up to whole steps.
    level : float, optional
        Coverage of the interval.
    model : str, optional
        "default", "auto", "ets", "sarimax" or "theta"; see `choose`.

    Raises
    ------
    ShapeError
        If it is no metrics array on a regular grid.
    InvalidInput, LimitExceeded
        If the horizon is not positive or longer than 20,000 steps.
    """
    check_metrics(array)
    time = array["time"].values
    steps = np.diff(time.view(np.int64))
    if not len(steps) or (steps != steps[0]).any():
        raise ShapeError(f"a forecast needs two or more equally distant times; got {len(time)}: query with a step.")
    step_ns = int(steps[0])
    if horizon_ns <= 0:
        raise InvalidInput(f"a horizon of {horizon_ns / _NS:g} s is not ahead: give a duration such as '7d'.")
    horizon = -(-horizon_ns // step_ns)
    if horizon > MOST_STEPS:
        raise LimitExceeded(f"a horizon of {horizon:,} steps is more than {MOST_STEPS:,}: take a longer step.")
    found, models = choose(np.asarray(array.values, np.float64), horizon, step_ns / _NS, level, model)
    ahead = (time[-1].astype(np.int64) + step_ns * np.arange(1, horizon + 1)).astype("datetime64[ns]")
    attrs = {
        "models": list(models), "errors": found.error.tolist(), "level": level, "step_s": step_ns / _NS,
        **{key: array.attrs[key] for key in ("unit", "kind") if key in array.attrs},
    }  # fmt: skip
    blend = [found.describe(i) if m == "default" else "" for i, m in enumerate(models)]
    made = _dataset(array, found, ahead, attrs)
    made["model"] = ("series", np.array(models, object))
    made["blend"] = ("series", np.array(blend, object))
    made["error"] = ("series", found.error)
    return made


def _dataset(
    array: xr.DataArray, found: Prediction, ahead: npt.NDArray[np.datetime64], attrs: dict[str, Any]
) -> Forecast:
    labels = labels_of(array)
    named = {"forecast": found.point, "low": found.low, "high": found.high}
    arrays: dict[str, Any] = {name: build_metrics(values, ahead, labels) for name, values in named.items()}
    made = Forecast(arrays, attrs=attrs)
    made["residuals"] = (("series", "origin", "time"), found.residuals)
    made["history"] = (("series", "past"), np.asarray(array.values, np.float64))
    return made.assign_coords(past=array["time"].values)


def crossings(
    forecast: xr.Dataset,
    threshold: float,
    *,
    above: bool | None = None,
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
) -> pd.DataFrame:
    """Return when each series of a forecast will cross a threshold, and how likely.

    Parameters
    ----------
    forecast : Dataset
        From `bench.forecast` or `forecast_metrics`.
    threshold : float
        In the unit of the series.
    above : bool, optional
        Whether rising to the threshold counts, or falling to it; by default whichever leads away from the newest
        sample of each series.
    quantiles : tuple of float, optional
        Of the time of crossing.

    Returns
    -------
    DataFrame
        One row per series: its labels, `threshold`, `above`, `probability` (of crossing within the horizon), and
        `time_10`, `time_50`, ...: when that share of possible futures has crossed, NaT where it does not.

    Raises
    ------
    InvalidInput
        If the threshold is not finite or a quantile not in (0, 1].
    ShapeError
        If the dataset is no forecast.
    """
    missing = {"forecast", "residuals", "history"} - set(forecast.data_vars)
    if missing:
        raise ShapeError(f"the dataset lacks {', '.join(sorted(missing))}: give what bench.forecast returns.")
    if not np.isfinite(threshold):
        raise InvalidInput(f"threshold {threshold!r} is not finite: give a number in the unit of the series.")
    if not quantiles or not all(0 < q <= 1 for q in quantiles):
        raise InvalidInput(f"quantiles {quantiles!r} are not in (0, 1]: give shares such as (0.1, 0.5, 0.9).")
    n = forecast.sizes["series"]
    rising = _newest(forecast["history"].values) < threshold if above is None else np.full(n, bool(above))
    with np.errstate(over="ignore"):
        paths = forecast["forecast"].values[:, None, :] + error_paths(forecast["residuals"].values)
    likely, step = crossing(paths, np.full(n, float(threshold)), rising, quantiles)
    table = labels_of(forecast["forecast"])
    table = table.assign(threshold=float(threshold), above=rising, probability=likely)
    times = forecast["time"].values
    for column, q in enumerate(quantiles):
        when = np.full(n, np.datetime64("NaT", "ns"))
        known = np.isfinite(step[:, column])
        when[known] = times[step[known, column].astype(np.int64)]
        table[f"time_{round(100 * q):02d}"] = when
    return table


def _newest(history: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the newest sample of each series, NaN where there is none."""
    seen = np.isfinite(history)
    if not history.shape[1]:
        return np.full(len(history), np.nan)
    last = history.shape[1] - 1 - seen[:, ::-1].argmax(1)
    found: npt.NDArray[np.float64] = np.where(seen.any(1), history[np.arange(len(history)), last], np.nan)
    return found
