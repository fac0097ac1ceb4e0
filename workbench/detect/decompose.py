"""A series as trend, season and rest: for people to look at. Detectors do not use it, as it looks ahead.

References
----------
Cleveland et al., "STL: A Seasonal-Trend Decomposition Procedure Based on Loess", Journal of Official Statistics 1990.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.detect.robust import Block
from workbench.detect.season import find_period
from workbench.errors import ShapeError

__all__ = ["Decomposition", "decompose"]

_DAY = 86_400.0
_SEASONAL = 15
"""Cycles over which a season may change."""
_LEAST = 0.3
"""Smallest autocorrelation that makes a season where two days are not there."""


class Decomposition(NamedTuple):
    """Trend + season + rest = values, float64 of shape (t,), NaN where all is missing; `period` in steps, 0 for none."""

    trend: Block
    season: Block
    rest: Block
    period: int


def decompose(values: Block, *, step: float = 60.0, period: int | None = None) -> Decomposition:
    """Decompose one series.

    Local regressions are computed at every tenth of their windows only, which is forty times faster than at each sample
    and looks the same; what lies far off weighs less, so that an incident does not become a season.

    Parameters
    ----------
    values : ndarray of float64, shape (t,)
        NaN is no sample; gaps are bridged by straight lines for the trend and stay gaps in the rest.
    step : float, optional
        Seconds between samples.
    period : int, optional
        In steps; by default a day where there are two of them, else what the autocorrelation shows. Without a season
        the trend is a running median.

    Raises
    ------
    ShapeError
        If it is not one series.
    """
    series = np.asarray(values, np.float64)
    if series.ndim != 1:
        raise ShapeError(f"one series is decomposed at a time; got values of shape {series.shape}.")
    known = np.isfinite(series)
    if not known.any():
        nothing = np.full_like(series, np.nan)
        return Decomposition(nothing, nothing.copy(), nothing.copy(), 0)
    # A power of two changes no digit, and no square overflows.
    power = int(np.frexp(np.abs(series[known]).max())[1])
    at = np.arange(len(series))
    whole = np.interp(at, at[known], np.ldexp(series[known], -power))
    cycle = _period(whole, step) if period is None else period
    trend, season = _parts(whole, cycle if 2 <= cycle <= len(whole) // 2 else 0)
    with np.errstate(under="ignore"):
        back = [np.ldexp(part, power) for part in (trend, season)]
        rest = np.where(known, np.ldexp(whole - trend - season, power), np.nan)
    return Decomposition(back[0], back[1], rest, cycle if 2 <= cycle <= len(whole) // 2 else 0)


def _period(whole: Block, step: float) -> int:
    day = round(_DAY / step)
    if day >= 2 and len(whole) >= 2 * day:
        return day
    return int(find_period(whole[None], _LEAST)[0])


def _parts(whole: Block, period: int) -> tuple[Block, Block]:
    """Return trend and season of a series without gaps."""
    if not period:
        wide = max(3, len(whole) // 10)
        trend = pd.Series(whole).rolling(wide, center=True, min_periods=1).median().to_numpy(np.float64)
        return trend, np.zeros_like(whole)
    from statsmodels.tsa.seasonal import STL

    long = int(np.ceil(1.5 * period / (1 - 1.5 / _SEASONAL)))
    long += 1 - long % 2
    low = period + 1 - period % 2 if period % 2 == 0 else period + 2
    jumps = {"seasonal_jump": _SEASONAL // 10 + 1, "trend_jump": max(1, long // 10), "low_pass_jump": max(1, low // 10)}
    found = STL(whole, period, _SEASONAL, trend=long, low_pass=low, robust=True, **jumps).fit()
    return np.asarray(found.trend, np.float64), np.asarray(found.seasonal, np.float64)
