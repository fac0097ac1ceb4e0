"""Capacity: how long each resource lasts, how it grows, and what another growth or price would mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.detect.forecast.exhaustion import Exhaustion, exhaust
from workbench.detect.forecast.growth import Growth, grow
from workbench.detect.robust import median
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import check_metrics, labels_of

__all__ = ["Capacity", "assess", "match_limit"]

_NS_PER_DAY = 86_400 * 10**9
_FURTHEST_DAYS = 36_500.0
"""Beyond a hundred years nothing is said."""


@dataclass(frozen=True, eq=False)
class Capacity:
    """Resources and their limits.

    Attributes
    ----------
    metrics : DataArray, shape (n, t)
        The history.
    limit : ndarray of float64, shape (n,)
    horizon_ns : int
    level : float
        Coverage of the intervals.
    growth : Growth
        Decomposition of each series, slopes per step.
    exhaustion : Exhaustion
        Times in steps from the newest one.
    """

    metrics: xr.DataArray
    limit: npt.NDArray[np.float64]
    horizon_ns: int
    level: float
    growth: Growth
    exhaustion: Exhaustion

    @property
    def step_ns(self) -> int:
        """Distance of two samples, in nanoseconds."""
        time = self.metrics["time"].values
        return int((time[1] - time[0]).astype(np.int64))

    @property
    def labels(self) -> list[str]:
        """Names of the labels, the first columns of every table."""
        return list(labels_of(self.metrics).columns)

    def sel(self, **labels: str) -> Capacity:
        """Return the resources with these labels: `capacity.sel(service="db")`.

        Raises
        ------
        KeyError
            If no resource has them, as selecting from the metrics does.
        """
        rows = self.metrics.isel(time=slice(0, 1)).copy(data=np.arange(len(self.limit), dtype=np.float64)[:, None])
        kept = rows.sel(dict(labels)).values[:, 0].astype(np.int64)
        rising = self.exhaustion.rising[kept]
        return assess(self.metrics.isel(series=kept), self.limit[kept], self.horizon_ns, self.level, rising)

    def table(self) -> pd.DataFrame:
        """Return one row per resource, the one that ends soonest first.

        Returns
        -------
        DataFrame
            Labels; `limit`; `level` (trend now); `peak` (with its usual peak); `headroom` now, `headroom_then` at the
            horizon and `headroom_least` at the worse end of the interval; `growth_per_day` with `_low` and `_high`;
            `season` (height of the daily and weekly pattern); `noise`; `breaks` (number) and `last_break`;
            `soonest`, `expected`, `latest`: when the limit is reached, NaT for not within a hundred years;
            `probability` that it is reached within the horizon.
        """
        found, grown = self.exhaustion, self.growth
        per_day = _NS_PER_DAY / self.step_ns
        with np.errstate(over="ignore"):
            daily = [part * per_day for part in (grown.slope, grown.slope_low, grown.slope_high)]
        columns: dict[str, Any] = {
            "limit": self.limit, "level": grown.level, "peak": found.peak, "headroom": found.headroom,
            "headroom_then": found.headroom_then, "headroom_least": found.headroom_least,
            "growth_per_day": daily[0], "growth_per_day_low": daily[1], "growth_per_day_high": daily[2],
            "season": grown.season, "noise": grown.noise, "breaks": grown.breaks.sum(1), "last_break": self._breaks(),
            "soonest": self._when(found.soonest), "expected": self._when(found.expected),
            "latest": self._when(found.latest), "probability": found.probability,
        }  # fmt: skip
        table = labels_of(self.metrics).assign(**columns)
        order = np.lexsort((np.nan_to_num(found.soonest, nan=np.inf), np.nan_to_num(found.expected, nan=np.inf)))
        return table.iloc[order].reset_index(drop=True)

    def _when(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.datetime64]:
        ahead = steps * self.step_ns
        near = np.isfinite(ahead) & (ahead <= _FURTHEST_DAYS * _NS_PER_DAY)
        whole = np.where(near, ahead, 0.0).astype(np.int64).astype("timedelta64[ns]")
        return np.where(near, self.metrics["time"].values[-1] + whole, np.datetime64("NaT", "ns"))

    def _breaks(self) -> npt.NDArray[np.datetime64]:
        breaks, time = self.growth.breaks, self.metrics["time"].values
        last = breaks.shape[1] - 1 - breaks[:, ::-1].argmax(1)
        return np.where(breaks.any(1), time[last], np.datetime64("NaT", "ns"))

    def what_if(self, unit_cost: float = 1.0, growth: float = 1.0, target: float = 0.7) -> pd.DataFrame:
        """Return what it would cost to keep every resource below a share of its limit until the horizon.

        Parameters
        ----------
        unit_cost : float, optional
            Price of one unit of the limit (a byte, a core) for whatever period the answer is meant for.
        growth : float, optional
            Factor on the growth found: 1 as now, 2 twice as fast, 0 not at all.
        target : float, optional
            Highest share of the limit that the peak may take, in (0, 1].

        Returns
        -------
        DataFrame
            One row per resource whose limit lies above it: labels, `limit`, `used` and `used_then` (peak as a share of
            the limit, now and at the horizon), `needed` (limit that keeps the target then), `add` (what is missing of
            it, 0 for none), `spare` (what could be given back), `cost` (of the present limit), `cost_then` (of the one
            needed), `cost_change`.

        Raises
        ------
        InvalidInput
            If an argument is out of range.
        """
        for name, value, most in (
            ("unit_cost", unit_cost, np.inf),
            ("growth", growth, np.inf),
            ("target", target, 1.0),
        ):
            if not (np.isfinite(value) and 0 <= value <= most) or (name == "target" and value == 0):
                raise InvalidInput(f"{name} {value!r} is out of range: give a finite number from 0 to {most:g}.")
        ahead = self.horizon_ns / self.step_ns
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            then = self.exhaustion.peak + growth * np.nan_to_num(self.growth.slope) * ahead
            needed = np.maximum(then, 0.0) / target
            columns = {
                "limit": self.limit, "used": self.exhaustion.peak / self.limit, "used_then": then / self.limit,
                "needed": needed, "add": np.maximum(needed - self.limit, 0.0),
                "spare": np.maximum(self.limit - needed, 0.0), "cost": unit_cost * self.limit,
                "cost_then": unit_cost * needed, "cost_change": unit_cost * (needed - self.limit),
            }  # fmt: skip
        table = labels_of(self.metrics).assign(**columns)
        return table[self.exhaustion.rising & np.isfinite(self.limit)].reset_index(drop=True)

    def show(self, **options: Any) -> Any:
        """Return the panel `capacity`."""
        from workbench import registry

        return registry.load("workbench.panels", "capacity")().figure(self, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self.show()._repr_mimebundle_(include, exclude)


def assess(
    metrics: xr.DataArray,
    limit: float | npt.NDArray[np.float64],
    horizon_ns: int,
    level: float = 0.9,
    rising: bool | npt.NDArray[np.bool_] | None = None,
) -> Capacity:
    """Return how long the resources of a metrics array last.

    Parameters
    ----------
    metrics : DataArray, shape (n, t)
        At least two equally distant times.
    limit : float or ndarray of float64, shape (n,)
        In the unit of the series.
    horizon_ns : int
    level : float, optional
        Coverage of the intervals, in (0, 1).
    rising : bool or ndarray of bool, shape (n,), optional
        Whether limits are reached by rising (what is used) or by falling (what is free); by default a series whose
        history mostly lay above its limit is taken to fall to it.

    Raises
    ------
    ShapeError
        If it is no metrics array on a regular grid, or the limits do not fit it.
    InvalidInput
        If level or horizon are out of range.
    """
    check_metrics(metrics)
    steps = np.diff(metrics["time"].values.view(np.int64))
    if not len(steps) or (steps != steps[0]).any():
        raise ShapeError(f"capacity needs two or more equally distant times; got {len(steps) + 1}: query with a step.")
    if not 0 < level < 1:
        raise InvalidInput(f"level {level!r} is not between 0 and 1: give a coverage such as 0.9.")
    if horizon_ns <= 0:
        raise InvalidInput(f"a horizon of {horizon_ns / 1e9:g} s is not ahead: give a duration such as '90d'.")
    limits = (
        np.broadcast_to(np.asarray(limit, np.float64), (metrics.sizes["series"],)) if np.ndim(limit) == 0 else limit
    )
    if np.shape(limits) != (metrics.sizes["series"],):
        raise ShapeError(
            f"{np.shape(limits)} limits for {metrics.sizes['series']} series: give one each, or one number."
        )
    step_ns = int(steps[0])
    values = np.asarray(metrics.values, np.float64)
    grown = grow(values, step_ns / 1e9, level)
    limits = np.asarray(limits, np.float64)
    upward = ~(median(values) > limits) if rising is None else np.resize(np.asarray(rising, bool), len(limits))
    found = exhaust(grown, limits, upward, horizon_ns / step_ns, level)
    return Capacity(metrics, limits, horizon_ns, level, grown, found)


def match_limit(metrics: xr.DataArray, limits: xr.DataArray) -> npt.NDArray[np.float64]:
    """Return the limit of each series: the newest value of the one series of `limits` whose labels agree.

    Labels agree where those that both have, the metric's name apart, are equal; a single series of limits serves all.

    Raises
    ------
    InvalidInput
        If several fit a series, or none fits any.
    """
    newest = _newest(np.asarray(limits.values, np.float64))
    have, want = labels_of(limits), labels_of(metrics)
    shared = sorted((set(have.columns) & set(want.columns)) - {"metric"})
    if not len(have):
        raise InvalidInput("the expression of the limit has no value at the end of the history: check the name.")
    if len(have) == 1:
        return np.full(len(want), newest[0])
    if not shared:
        raise InvalidInput(f"{len(have)} limits share no label with the series: aggregate them to one, or by a label.")
    keys = have[shared].apply(tuple, axis=1)
    if keys.duplicated().any():
        raise InvalidInput(f"several limits have the same {', '.join(shared)}: aggregate them by these labels.")
    found: npt.NDArray[np.float64] = (
        want[shared].apply(tuple, axis=1).map(dict(zip(keys, newest, strict=True))).to_numpy(float)
    )
    if not np.isfinite(found).any():
        raise InvalidInput(f"no limit agrees with a series in {', '.join(shared)}: check the expression of the limit.")
    return found


def _newest(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    seen = np.isfinite(values)
    if not values.size:
        return np.full(len(values), np.nan)
    last = values.shape[1] - 1 - seen[:, ::-1].argmax(1)
    return np.where(seen.any(1), values[np.arange(len(values)), last], np.nan)
