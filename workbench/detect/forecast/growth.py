"""Growth: trend, season and breaks of each series, and when its trend reaches a limit.

Days (or eighths of a history shorter than two days) are reduced to their medians; the weekdays' own pattern is taken
off; what is left is cut where it breaks. The trend is that of the last stretch: growth before a clean-up or a migration
says nothing about growth after it.

References
----------
Slope and its interval: Theil (1950), Sen (1968), the variance of Kendall's statistic widened for autocorrelation of
order one as in Hamed and Rao (1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.changes import changes
from workbench.detect.forecast.timescale import Clock, clock
from workbench.detect.robust import Block, median, quantile_of_sorted

__all__ = ["Growth", "grow"]

_LONGEST = 180
"""Blocks that a slope is taken from, at most; pairs of them are compared."""
_PEAK = 0.95
_RECENT_BLOCKS = 28
_ALIKE = 0.3
"""Correlation of the patterns of odd and even cycles from which on there is a season."""


@dataclass(frozen=True, eq=False)
class Growth:
    """How n series grow; slopes per step.

    Attributes
    ----------
    level : ndarray of float64, shape (n,)
        Of the trend at the last step.
    slope, slope_low, slope_high : ndarray of float64, shape (n,)
        Robust slope and its interval at the wanted level; NaN where fewer than three blocks are known.
    peak, trough : ndarray of float64, shape (n,)
        How far above and below its trend a series goes: 95 % and 5 % quantile of the last 28 blocks.
    season : ndarray of float64, shape (n,)
        Height of the daily and weekly pattern around the trend, from trough to peak; 0 where none can be told.
    noise : ndarray of float64, shape (n,)
        Mean absolute distance of samples from trend and season.
    trend : ndarray of float64, shape (n, t)
        The straight lines between the breaks.
    breaks : ndarray of bool, shape (n, t)
        True at the first step of each new stretch.
    """

    level: Block
    slope: Block
    slope_low: Block
    slope_high: Block
    peak: Block
    trough: Block
    season: Block
    noise: Block
    trend: Block
    breaks: npt.NDArray[np.bool_]


def grow(values: Block, step_s: float, level: float = 0.9) -> Growth:
    """Return how each series grows.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
        NaN is no sample.
    step_s : float
        Seconds between samples.
    level : float, optional
        Coverage of the interval of the slope.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    n, t = values.shape
    if t == 0 or n == 0:
        none = np.full(n, np.nan)
        return Growth(none, none, none, none, none, none, none, none, values, np.zeros((n, t), bool))
    exponent = np.frexp(np.max(np.abs(np.nan_to_num(values)), axis=1, initial=0.0))[1].astype(np.int64)[:, None]
    made = _grow(np.ldexp(values, -exponent), clock(t, step_s), level)
    parts = (made.level, made.slope, made.slope_low, made.slope_high, made.peak, made.trough, made.season, made.noise)
    back = [_unscaled(part, exponent[:, 0]) for part in parts]
    level_, slope, low, high, peak, trough, season, noise = back
    trend = _unscaled(made.trend, exponent)
    return Growth(level_, slope, low, high, peak, trough, season, noise, trend, made.breaks)


def _unscaled(values: Block, exponent: npt.NDArray[np.int64]) -> Block:
    most = np.finfo(np.float64).max
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(np.ldexp(values, exponent), -most, most)


def _grow(values: Block, time: Clock, level: float) -> Growth:
    n, t = values.shape
    count = t // time.block
    first = t - count * time.block
    blocks = median(values[:, first:].reshape(n, count, time.block))
    flat = blocks - _weekdays(blocks, time)
    cut = changes(flat)
    stretch = np.cumsum(cut, axis=1, dtype=np.int64)
    last = stretch == stretch[:, -1:]
    slope, low, high = _slope(np.where(last, flat, np.nan)[:, -_LONGEST:], level)
    middle = np.arange(count) - (count - 1)
    usable = np.where(np.isfinite(slope), slope, 0.0)
    offset = median(np.where(last, flat - usable[:, None] * middle, np.nan))
    # The middle of the last block lies half a block before the last step.
    now = offset + usable * (time.block - 1) / 2 / time.block
    trend = _lines(flat, stretch, usable, offset)
    at = np.concatenate([np.zeros(first, np.int64), np.repeat(np.arange(count), time.block)])
    inside = (
        np.concatenate([np.zeros(first), np.tile(np.arange(time.block), count)]) - (time.block - 1) / 2
    ) / time.block
    line = trend[0][:, at] + trend[1][:, at] * inside
    peak, trough, season, noise = _around(values - line, time)
    breaks = np.zeros((n, t), bool)
    breaks[:, first :: time.block] = cut
    per = 1.0 / time.block
    return Growth(now, slope * per, low * per, high * per, peak, trough, season, noise, line, breaks)


def _weekdays(blocks: Block, time: Clock) -> Block:
    """Return the pattern that repeats every seven blocks of a day, 0 where two weeks are not known."""
    n, count = blocks.shape
    if not time.weekly or round(time.week / time.block) != 7 or count < 14:
        return np.zeros((n, count))
    padded = np.concatenate([np.full((n, 3), np.nan), blocks, np.full((n, 3), np.nan)], axis=1)
    window = np.lib.stride_tricks.sliding_window_view(padded, 7, axis=1)
    full = np.isfinite(window).sum(2) >= 6
    off = np.where(full, blocks - median(np.where(full[..., None], window, np.nan)), np.nan)
    weeks = -(-count // 7)
    lined = np.full((n, weeks * 7), np.nan)
    lined[:, -count:] = off
    pattern = np.nan_to_num(median(np.swapaxes(lined.reshape(n, weeks, 7), 1, 2)))
    pattern -= median(pattern)[:, None]
    return np.tile(pattern, (1, weeks))[:, -count:]


def _slope(blocks: Block, level: float) -> tuple[Block, Block, Block]:
    """Return (slope, low, high) per block: the median of the slopes of all pairs, and Sen's interval."""
    from statistics import NormalDist

    n, count = blocks.shape
    early, late = np.triu_indices(count, 1)
    steep = np.sort((blocks[:, late] - blocks[:, early]) / (late - early), axis=1)
    pairs = np.isfinite(steep).sum(1)
    known = np.isfinite(blocks).sum(1)
    found = quantile_of_sorted(steep, pairs, 0.5)
    rest = blocks - found[:, None] * np.arange(count)
    rest = rest - median(rest)[:, None]
    both = np.isfinite(rest[:, 1:]) & np.isfinite(rest[:, :-1])
    joint = np.where(both, rest[:, 1:] * rest[:, :-1], 0.0).sum(1)
    power = np.nansum(rest**2, axis=1)
    rho = np.clip(np.divide(joint, power, out=np.zeros(n), where=power > 0), 0.0, 0.9)
    spread = np.sqrt(known * (known - 1.0) * (2.0 * known + 5.0) / 18.0 * (1 + rho) / (1 - rho))
    half = NormalDist().inv_cdf((1 + level) / 2) * spread / np.maximum(pairs, 1) / 2
    ends = []
    for share in (0.5 - half, 0.5 + half):
        position = np.clip(share, 0.0, 1.0) * np.maximum(pairs - 1, 0)
        column = np.clip(np.rint(position).astype(np.int64), 0, max(0, steep.shape[1] - 1))[:, None]
        ends.append(np.take_along_axis(steep, column, 1)[:, 0] if steep.shape[1] else np.full(n, np.nan))
    enough = known >= 3
    return tuple(np.where(enough, part, np.nan) for part in (found, *ends))  # type: ignore[return-value]


def _lines(flat: Block, stretch: npt.NDArray[np.int64], slope: Block, offset: Block) -> tuple[Block, Block]:
    """Return the trend at the middle of each block and its slope there: least squares, robust in the last stretch."""
    n, count = flat.shape
    known = np.isfinite(flat)
    x = np.arange(count) - (count - 1.0)
    key = stretch + np.arange(n)[:, None] * (count + 1)
    y = np.where(known, flat, 0.0)
    size, sx, sy, sxx, sxy = (
        np.bincount(key.ravel(), weights=(known * term).ravel(), minlength=n * (count + 1))
        for term in (np.ones_like(y), x + 0 * y, y, x * x + 0 * y, x * y)
    )
    some = np.maximum(size, 1.0)
    wide = sxx - sx * sx / some
    steep = np.divide(sxy - sx * sy / some, wide, out=np.zeros_like(wide), where=wide > 0)
    base = np.where(size > 0, (sy - steep * sx) / some, np.nan)
    slopes, bases = steep[key], base[key]
    last = stretch == stretch[:, -1:]
    slopes, bases = np.where(last, slope[:, None], slopes), np.where(last, offset[:, None], bases)
    return bases + slopes * x, slopes


def _around(off: Block, time: Clock) -> tuple[Block, Block, Block, Block]:
    """Return (peak, trough, height of the season, noise) of values around their trend."""
    n, t = off.shape
    recent = np.sort(off[:, -_RECENT_BLOCKS * time.block :], axis=1)
    count = np.isfinite(recent).sum(1)
    peak, trough = quantile_of_sorted(recent, count, _PEAK), quantile_of_sorted(recent, count, 1 - _PEAK)
    period = round(time.week) if time.weekly else round(time.day) if time.daily else 0
    if not period:
        return peak, trough, np.zeros(n), median(np.abs(off))
    cycles = min(4, t // period)
    lined = off[:, t - cycles * period :].reshape(n, cycles, period)
    profile = median(np.swapaxes(lined, 1, 2))
    # Of single weeks the pattern would be all noise; a median of several keeps what repeats.
    ordered = np.sort(profile, axis=1)
    known = np.isfinite(ordered).sum(1)
    height = quantile_of_sorted(ordered, known, _PEAK) - quantile_of_sorted(ordered, known, 1 - _PEAK)
    height = np.where(_repeats(lined), height, 0.0)
    rest = np.abs(lined - profile[:, None, :])
    seen = np.isfinite(rest)
    total = np.where(seen, rest, 0.0).sum((1, 2))
    noise = np.divide(total, seen.sum((1, 2)), out=np.full(n, np.nan), where=seen.any((1, 2)))
    return peak, trough, height, noise


def _repeats(lined: Block) -> npt.NDArray[np.bool_]:
    """Return whether the pattern of odd cycles is that of even ones: shape (n,), from values of (n, cycles, phases)."""
    if lined.shape[1] < 2:
        return np.zeros(len(lined), bool)
    odd, even = (median(np.swapaxes(lined[:, begin::2], 1, 2)) for begin in (0, 1))
    both = np.isfinite(odd) & np.isfinite(even)
    count = np.maximum(both.sum(1), 1)[:, None]
    first, second = (np.where(both, half, 0.0) for half in (odd, even))
    first, second = (np.where(both, half - half.sum(1, keepdims=True) / count, 0.0) for half in (first, second))
    joint, power = (first * second).sum(1), np.sqrt((first**2).sum(1) * (second**2).sum(1))
    alike: npt.NDArray[np.bool_] = joint > _ALIKE * power
    return alike
