"""Intervals from how far forecasts were off at earlier origins.

Residuals are pooled by day ahead, both signs alike, and count half as much for every two weeks of age (14 steps, where
a step is longer than a day): a series whose noise or trend changes gets the width of its present, not of its past.

References
----------
Barber, Candes, Ramdas, Tibshirani: Conformal prediction beyond exchangeability. Annals of Statistics 51 (2023).
"""

from __future__ import annotations

import numpy as np

from workbench.detect.forecast.timescale import Clock
from workbench.detect.robust import Block

__all__ = ["half_widths"]

_HALF_LIFE_DAYS = 14.0


def half_widths(residuals: Block, clock: Clock, level: float) -> Block:
    """Return the half width of the interval at each step ahead.

    Parameters
    ----------
    residuals : ndarray of float64, shape (n, k, h)
        Observed less forecast, per origin (oldest first) and step ahead; NaN where nothing was observed.
    clock : Clock
    level : float
        Wanted coverage, in (0, 1).

    Returns
    -------
    ndarray of float64, shape (n, h)
        Beyond the furthest step any origin saw, the width grows with the square root of the distance, as the error of
        a random walk does. NaN where no residual is known.
    """
    n, k, h = residuals.shape
    age = (clock.origins[-1] - clock.origins[:-1]) / max(clock.day, clock.block)
    weight = 0.5 ** (age / _HALF_LIFE_DAYS)
    size = max(1, min(h, round(clock.day)))
    wide = np.full((n, h), np.nan)
    known, reach = np.full(n, np.nan), np.ones(n)
    for begin in range(0, h, size):
        end = min(begin + size, h)
        pool = np.abs(residuals[:, :, begin:end]).reshape(n, k * (end - begin))
        found = _weighted_quantile(pool, np.repeat(weight, end - begin), level)
        seen = np.isfinite(found)
        known, reach = np.where(seen, found, known), np.where(seen, float(end), reach)
        growth = np.sqrt(np.maximum(np.arange(begin, end) + 1.0, reach[:, None]) / reach[:, None])
        wide[:, begin:end] = np.where(seen[:, None], found[:, None], known[:, None] * growth)
    return wide


def _weighted_quantile(pool: Block, weight: Block, level: float) -> Block:
    """Return the smallest value that has `level` of the weight at or below it, one unseen sample of weight 1 above."""
    n, m = pool.shape
    if m == 0:
        return np.full(n, np.nan)
    order = np.argsort(pool, axis=1)
    ordered = np.take_along_axis(pool, order, 1)
    mass = np.cumsum(np.where(np.isfinite(ordered), weight[order], 0.0), axis=1)
    count = np.isfinite(ordered).sum(1)
    enough = mass >= level * (mass[:, -1:] + 1.0)
    at = np.where(enough.any(1), enough.argmax(1), np.maximum(count - 1, 0))
    return np.take_along_axis(ordered, at[:, None], 1)[:, 0]
