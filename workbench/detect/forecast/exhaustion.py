"""When a growing series reaches a limit: its trend, with what peaks stand above it, against that limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.growth import Growth
from workbench.detect.robust import Block

__all__ = ["Exhaustion", "exhaust"]


@dataclass(frozen=True, eq=False)
class Exhaustion:
    """How n series stand to their limits; all of shape (n,), steps from the newest sample.

    Attributes
    ----------
    rising : ndarray of bool
        Whether the limit lies above (memory used) or below (space free).
    peak : ndarray of float64
        Present level with its usual peak towards the limit.
    headroom : ndarray of float64
        Distance from there to the limit; negative where it is exceeded.
    headroom_then, headroom_least : ndarray of float64
        The same at the horizon, by the slope and by the end of its interval that is worse.
    soonest, expected, latest : ndarray of float64
        Steps until the limit is reached, by the interval's ends and the slope; infinite where it never is, 0 where it
        is already.
    probability : ndarray of float64
        That it is reached within the horizon.
    """

    rising: npt.NDArray[np.bool_]
    peak: Block
    headroom: Block
    headroom_then: Block
    headroom_least: Block
    soonest: Block
    expected: Block
    latest: Block
    probability: Block


def exhaust(
    growth: Growth, limit: Block, rising: npt.NDArray[np.bool_], horizon: float, level: float = 0.9
) -> Exhaustion:
    """Return when each series reaches its limit.

    Parameters
    ----------
    growth : Growth
        With slopes at the same `level`.
    limit : ndarray of float64, shape (n,)
        NaN is unknown.
    rising : ndarray of bool, shape (n,)
        Whether the limit is reached by rising to it, or by falling.
    horizon : float
        Steps ahead.
    level : float, optional
        Coverage of the interval of the slope.
    """
    sign = np.where(rising, 1.0, -1.0)
    # A falling series is a rising one upside down.
    towards = np.where(rising, growth.slope, -growth.slope)
    quick = np.where(rising, growth.slope_high, -growth.slope_low)
    slow = np.where(rising, growth.slope_low, -growth.slope_high)
    with np.errstate(over="ignore", invalid="ignore"):
        peak = growth.level + np.where(rising, growth.peak, growth.trough)
        room = sign * (limit - peak)
        then, least = room - towards * horizon, room - quick * horizon
    return Exhaustion(
        rising, peak, room, then, least, _steps(room, quick), _steps(room, towards), _steps(room, slow),
        _probability(room, towards, quick - slow, horizon, level),
    )  # fmt: skip


def _steps(room: Block, slope: Block) -> Block:
    with np.errstate(over="ignore"):
        ahead = np.divide(room, slope, out=np.full(len(room), np.inf), where=slope > 0)
    ahead = np.where(room <= 0, 0.0, ahead)
    return np.where(np.isfinite(room) & (np.isfinite(slope) | (room <= 0)), ahead, np.nan)


def _probability(room: Block, slope: Block, width: Block, horizon: float, level: float) -> Block:
    """Return how likely the slope is steep enough, normal around what was found."""
    from statistics import NormalDist

    normal = NormalDist()
    sigma = width / (2 * normal.inv_cdf((1 + level) / 2))
    with np.errstate(over="ignore", invalid="ignore"):
        needed = room / horizon
        score = np.divide(slope - needed, sigma, out=np.where(slope >= needed, np.inf, -np.inf), where=sigma > 0)
    share = np.array([normal.cdf(s) if np.isfinite(s) else float(s > 0) for s in score.tolist()])
    return np.where(np.isfinite(room) & (np.isfinite(slope) | (room <= 0)), np.where(room <= 0, 1.0, share), np.nan)
