"""The default forecaster: simple experts, weighed by what each was worth in the series' own past.

References
----------
Weights by inverse error: Bates, Granger, The combination of forecasts (1969).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.conformal import half_widths
from workbench.detect.forecast.experts import DAILY, LEVEL, NAMES, TRENDS, WEEKLY, experts
from workbench.detect.forecast.timescale import Clock, clock
from workbench.detect.robust import Block
from workbench.errors import InvalidInput, LimitExceeded

__all__ = ["Prediction", "forecast", "from_one", "to_one"]

_SHARPNESS = 8
"""Weight is error to this power, inverted: of 1, 2, 4, 8, 16 the choice that leaving one development series out makes
(8 or 16; scaled error 0.842 on the series left out, 0.839 with 8 for all, 0.871 with 1)."""
_TREND_GAIN = 0.9
"""A trend counts only where the backtest error with it is below this share of the best without."""
_CELLS = 80_000
"""Series are worked on so many at a time that one expert's array has this many cells: it stays in the cache."""
MOST_STEPS = 20_000


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forecasts of n series, h steps ahead.

    Attributes
    ----------
    point, low, high : ndarray of float64, shape (n, h)
        NaN for a series without samples; `low` and `high` are NaN where the past gives no error to go by.
    residuals : ndarray of float64, shape (n, k, h)
        Observed less forecast at k origins in the history, oldest first; NaN where nothing was observed.
    weights : ndarray of float64, shape (n, 8)
        Share of each expert; see `experts.NAMES`.
    error : ndarray of float64, shape (n,)
        Mean absolute backtest error, in the unit of the series; NaN where there was no backtest.
    origins : ndarray of int64, shape (k,)
        Samples known at each origin.
    """

    point: Block
    low: Block
    high: Block
    residuals: Block
    weights: Block
    error: Block
    origins: npt.NDArray[np.int64]

    def describe(self, row: int) -> str:
        """Return the experts of one series by weight, those below a twentieth left out."""
        order = np.argsort(-self.weights[row], kind="stable")
        parts = [f"{NAMES[i]} {self.weights[row, i]:.0%}" for i in order if self.weights[row, i] >= 0.05]
        return ", ".join(parts) if np.isfinite(self.point[row]).any() else "none"


def forecast(values: Block, horizon: int, step_s: float, level: float = 0.9) -> Prediction:
    """Forecast every series of a block.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
        History, newest last, NaN where there is no sample (infinities count as none).
    horizon : int
        Steps ahead, 1 to 20,000.
    step_s : float
        Seconds between samples; it says how long days and weeks are.
    level : float, optional
        Coverage of the interval, in (0, 1).

    Returns
    -------
    Prediction

    Raises
    ------
    InvalidInput
        If the block is not two-dimensional or an argument is out of range.
    LimitExceeded
        If the horizon has too many steps.
    """
    values = _checked(values, horizon, level)
    n, t = values.shape
    time = clock(t, step_s)
    if t == 0 or n == 0:
        return _nothing(n, horizon)
    chunk = max(1, _CELLS // (len(time.origins) * horizon))
    parts = [_forecast(values[i : i + chunk], horizon, time, level) for i in range(0, n, chunk)]
    point, low, high, residuals, weights, error = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Prediction(point, low, high, residuals, weights, error, time.origins[:-1])


def _checked(values: Block, horizon: int, level: float) -> Block:
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise InvalidInput(f"a block of {values.ndim} dimensions is not (series, time): give two.")
    if not (isinstance(horizon, int | np.integer) and horizon >= 1):
        raise InvalidInput(f"horizon {horizon!r} is not a whole number of steps: give 1 or more.")
    if horizon > MOST_STEPS:
        raise LimitExceeded(f"a horizon of {horizon:,} steps is more than {MOST_STEPS:,}: take a longer step.")
    if not 0 < level < 1:
        raise InvalidInput(f"level {level!r} is not between 0 and 1: give a coverage such as 0.9.")
    return values


def _nothing(n: int, horizon: int) -> Prediction:
    empty = np.full((n, horizon), np.nan)
    none = np.zeros(0, np.int64)
    return Prediction(
        empty, empty, empty, np.empty((n, 0, horizon)), np.zeros((n, len(NAMES))), np.full(n, np.nan), none
    )


def _forecast(values: Block, horizon: int, time: Clock, level: float) -> tuple[Block, ...]:
    scaled, exponent = to_one(values)
    said = experts(scaled, horizon, time)
    off = _residuals(scaled, said[:, :, :-1], time.origins[:-1])
    weights = _weights(off, time)
    # What experts agree on comes out exactly, however the weights round.
    base = said[LEVEL, :, -1]
    point = base + np.einsum("en,enh->nh", weights.T, said[:, :, -1] - base)
    residuals = np.einsum("en,enkh->nkh", weights.T, off)
    half = half_widths(residuals, time, level)
    seen = np.isfinite(residuals)
    total = np.where(seen, np.abs(residuals), 0.0).sum((1, 2))
    count = seen.sum((1, 2))
    error = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    back = exponent[:, None]
    return (
        from_one(point, back), from_one(point - half, back), from_one(point + half, back),
        from_one(residuals, back[..., None]), weights, from_one(error, exponent),
    )  # fmt: skip


def to_one(values: Block) -> tuple[Block, npt.NDArray[np.int64]]:
    """Return each series divided by a power of two, to at most 1, and the power: sums then neither overflow nor fade."""
    finite = np.where(np.isfinite(values), values, np.nan)
    largest = np.max(np.abs(np.nan_to_num(finite)), axis=1, initial=0.0)
    exponent = np.frexp(largest)[1].astype(np.int64)
    return np.ldexp(finite, -exponent[:, None]), exponent


def from_one(values: Block, exponent: npt.NDArray[np.int64] | np.int64) -> Block:
    """Return scaled values in their own unit, the largest number instead of an infinity."""
    with np.errstate(over="ignore", under="ignore"):
        back: Block = np.ldexp(values, exponent)
    most = np.finfo(np.float64).max
    return np.clip(back, -most, most)


def _residuals(values: Block, said: Block, origins: npt.NDArray[np.int64]) -> Block:
    """Return observed less forecast: shape (experts, n, k, h), NaN beyond the end of the history."""
    at = origins[:, None] + np.arange(said.shape[-1])
    inside = at < values.shape[1]
    observed = np.where(inside, values[:, np.where(inside, at, 0)], np.nan)
    return observed - said


def _weights(off: Block, time: Clock) -> Block:
    """Return the share of each expert per series, shape (n, experts), from its mean absolute error at the origins."""
    seen = np.isfinite(off)
    count = np.maximum(seen.sum((2, 3)), 1)
    error = (np.where(seen, np.abs(off), 0.0).sum((2, 3)) / count).T
    usable = np.ones(len(NAMES), bool)
    usable[list(WEEKLY)] = time.weekly
    usable[list(DAILY)] = time.daily
    error = np.where(usable, error, np.inf)
    trends = list(TRENDS)
    error[:, trends] = np.where(error[:, trends] < _TREND_GAIN * _least(error, trends), error[:, trends], np.inf)
    least = error.min(axis=1, keepdims=True)
    ratio = np.divide(least, error, out=np.ones_like(error), where=error > least)
    share: Block = np.where(np.isfinite(error), ratio, 0.0) ** _SHARPNESS
    total: Block = share.sum(axis=1, keepdims=True)
    return share / total


def _least(error: Block, without: list[int]) -> Block:
    least: Block = np.delete(error, without, axis=1).min(axis=1, keepdims=True)
    return least
