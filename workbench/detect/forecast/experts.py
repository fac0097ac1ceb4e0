"""Simple forecasters, each at every origin at once.

An expert is an array of shape (n series, k origins, h steps ahead); what it says at an origin rests on the samples
before that origin only. Where an expert knows nothing about a phase it says what the next simpler one says: seasonal
naive falls back on the weekly median profile, that on the daily profile, that on the level.

References
----------
The slope is the median of differences over half the window, as in Theil's "incomplete" method (1950).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.detect.forecast.timescale import Clock
from workbench.detect.robust import Block, median

__all__ = ["NAMES", "TRENDS", "experts", "seasonal_naive", "weekly_median"]

NAMES = (
    "seasonal naive",
    "weekly profile",
    "weekly profile at level",
    "daily profile",
    "daily profile at level",
    "level",
    "weekly profile with trend",
    "daily profile with trend",
)
"""Names of the experts, in the order of `experts`."""

LEVEL = 5
"""The one that always knows something, once there is a sample."""

TRENDS = (6, 7)
"""Those that extrapolate; they have to pay for themselves."""

WEEKLY = (0, 1, 2, 6)
"""Those that need two weeks."""

DAILY = (3, 4, 7)
"""Those that need two days."""

_WEEKS = 4
_DAYS = 7
_SLOPE_BLOCKS = 28


def _profile(values: Block, origins: npt.NDArray[np.int64], period: float, cycles: int) -> Block:
    """Return the median of each phase in the cycles before each origin: shape (n, k, phases), phase 0 at the origin.

    What is seen of an instant does not depend on the origin, so origins share their medians.
    """
    back = np.rint(period * np.arange(1, cycles + 1)).astype(np.int64)
    first = int(origins[0])
    phase = np.arange(max(1, round(period)))
    at = np.arange(first, int(origins[-1]) + len(phase))[:, None] - back
    # An instant more than a cycle after the last origin is never asked for, so nothing after an origin is read.
    seen = np.where(at >= 0, values[:, np.clip(at, 0, values.shape[1] - 1)], np.nan)
    shared = seen[..., 0] if cycles == 1 else median(seen)
    return shared[:, (origins - first)[:, None] + phase]


def _phases(horizon: int, period: float) -> npt.NDArray[np.int64]:
    """Return the phase of each step ahead."""
    ahead = np.arange(horizon)
    return np.minimum(np.rint(ahead - np.floor(ahead / period) * period).astype(np.int64), max(0, round(period) - 1))


def _blocks(values: Block, clock: Clock) -> tuple[Block, npt.NDArray[np.int64]]:
    """Return the medians of whole blocks, the last kept where one is empty, and the newest block of each origin."""
    n, t = values.shape
    count = t // clock.block
    medians = median(values[:, t - count * clock.block :].reshape(n, count, clock.block))
    known = np.where(np.isfinite(medians), np.arange(count), 0)
    kept = np.take_along_axis(medians, np.maximum.accumulate(known, axis=1), 1)
    # Samples before the first whole block speak where nothing else does.
    kept = np.where(np.isfinite(kept), kept, median(values[:, : t - count * clock.block])[:, None])
    return kept, count - 1 - (t - clock.origins) // clock.block


def _slopes(blocks: Block, newest: npt.NDArray[np.int64], week: float) -> Block:
    """Return the median change per block at each origin: shape (n, k); 0 where it cannot be told.

    Differences span whole weeks where the window allows: the days of the week then cancel.
    """
    n, count = blocks.shape
    lag = max(1, min(_SLOPE_BLOCKS, count) // 2)
    if lag >= week >= 1:
        lag = int(lag // week * week)
    change = np.full((n, count), np.nan)
    change[:, lag:] = (blocks[:, lag:] - blocks[:, :-lag]) / lag
    at = newest[:, None] - np.arange(max(1, _SLOPE_BLOCKS - lag))
    seen = np.where(at >= 0, change[:, np.maximum(at, 0)], np.nan)
    return np.nan_to_num(median(seen))


def _moved(profile: Block, values: Block, clock: Clock, level: Block, slope: Block) -> Block:
    """Return by how much a profile with a slope must rise to pass through the newest block: shape (n, k, 1).

    The block is compared phase by phase, so that a quiet Sunday does not count as a fall.
    """
    before = np.arange(-clock.block, 0)
    at = clock.origins[:, None] + before
    off = values[:, np.maximum(at, 0)] - profile[:, :, before % profile.shape[-1]] - slope * before
    moved = median(np.where(at >= 0, off, np.nan))[..., None]
    now = level + slope * ((clock.block + 1) / 2)
    return np.where(np.isfinite(moved), moved, now - median(profile)[..., None])


def _extended(
    profile: Block, values: Block, clock: Clock, level: Block, slope: Block, phase: npt.NDArray[np.int64]
) -> tuple[Block, Block]:
    """Return a profile at the level of the newest block, and the same freed of its own slope and extrapolated."""
    at_level = profile + _moved(profile, values, clock, level, np.zeros_like(slope))
    flat = profile - slope * np.arange(profile.shape[-1])
    raised = flat + _moved(flat, values, clock, level, slope)
    return at_level[..., phase], raised[..., phase] + slope * np.arange(len(phase))


def experts(values: Block, horizon: int, clock: Clock) -> Block:
    """Return every expert's forecast at every origin.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
        NaN is no sample.
    horizon : int
        Steps ahead.
    clock : Clock

    Returns
    -------
    ndarray of float64, shape (8, n, k, horizon)
        In the order of `NAMES`; those whose season the history is too short for are as their fallback.
    """
    blocks, newest = _blocks(values, clock)
    level = blocks[:, newest][..., None]
    flat = np.broadcast_to(level, (*level.shape[:2], horizon))
    slope = _slopes(blocks, newest, clock.week / clock.block)[..., None] / clock.block
    trend = level + slope * ((clock.block - 1) / 2 + 1 + np.arange(horizon))
    out = np.empty((len(NAMES), *flat.shape))
    out[[0, 1, 2, 3, 4, 5]] = flat
    out[[6, 7]] = trend
    if not clock.daily:
        return out
    daily = _profile(values, clock.origins, clock.day, _DAYS)
    daily = np.where(np.isfinite(daily), daily, level)
    phase = _phases(horizon, clock.day)
    out[[0, 1, 3]] = daily[..., phase]
    out[[2, 4]], out[[6, 7]] = _extended(daily, values, clock, level, slope, phase)
    if clock.weekly:
        _fill_weekly(out, values, clock, daily, level, slope)
    return out


def _fill_weekly(out: Block, values: Block, clock: Clock, daily: Block, level: Block, slope: Block) -> None:
    horizon = out.shape[-1]
    phase = _phases(horizon, clock.week)
    simpler = daily[..., _phases(max(1, round(clock.week)), clock.day)]
    weekly = _profile(values, clock.origins, clock.week, _WEEKS)
    weekly = np.where(np.isfinite(weekly), weekly, simpler)
    last = _profile(values, clock.origins, clock.week, 1)
    out[0] = np.where(np.isfinite(last), last, weekly)[..., phase]
    out[1] = weekly[..., phase]
    out[2], out[6] = _extended(weekly, values, clock, level, slope, phase)


def seasonal_naive(values: Block, horizon: int, clock: Clock) -> Block:
    """Return the values of the last week again; shape (n, horizon), missing ones from earlier weeks.

    It is what forecasts are compared with.
    """
    end = clock.origins[-1:]
    found = _profile(values, end, clock.week, 1)[:, 0]
    for weeks in range(2, int(values.shape[1] // max(1.0, clock.week)) + 1):
        back = round(clock.week * weeks)
        at = int(end[0]) + np.arange(found.shape[-1]) - back
        earlier = np.where(at >= 0, values[:, np.maximum(at, 0)], np.nan)
        found = np.where(np.isfinite(found), found, earlier)
    return found[:, _phases(horizon, clock.week)]


def weekly_median(values: Block, horizon: int, clock: Clock) -> Block:
    """Return the median of each phase of the week over the last four; shape (n, horizon)."""
    return _profile(values, clock.origins[-1:], clock.week, _WEEKS)[:, 0][:, _phases(horizon, clock.week)]
