"""A causal detector of level shifts: how surprising the newest level of each series is against its own past.

For every series: take off its season where its past shows one, compare the median of the last few samples with the
median of the window before, in units of the window's spread, and turn that distance into a probability by the distances
the same series has shown so far. The score is -log10 of that probability: 4 means one in ten thousand.

Everything moves in blocks of columns over all series at once. A block sees only columns before it, so no score depends
on later samples. Blocks begin short, so that a history of a dozen samples is enough to start.

References
----------
Robust location and scale: Huber, "Robust Statistics", 1981. Exponential tail above a high quantile: the
peaks-over-threshold idea of Siffer et al., "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import MAD_TO_SIGMA, Block, median, median_and_mad, quantile_of_sorted
from workbench.detect.season import find_period, seasonal_median
from workbench.detect.surprise import to_score
from workbench.errors import InvalidInput, ShapeError, check_one_of

__all__ = ["LevelShift", "expected"]

DIRECTIONS = ("both", "up", "down")
"""Which way a shift must go to count."""

_LN10 = float(np.log(10.0))
_QUANTILE = 0.9
_PRIOR_KNEE, _PRIOR_TAIL, _PRIOR_WEIGHT = 1.5, 0.5, 10.0
_CLIP_SCORE, _HIGHEST = 3.0, 50.0
_CELLS = 4_000_000


@dataclass(frozen=True)
class LevelShift:
    """Robust seasonal level-shift detector; its fields are its only state, all lengths in time steps.

    Attributes
    ----------
    window : int
        Past steps that make the baseline.
    warmup : int
        Samples a baseline needs before anything is scored.
    recent : int
        Steps whose median is the present level; 1 scores every sample by itself.
    floor_share : float
        Least spread as a share of the level: a flat series does not alarm on less than a few times this.
    floor : float
        Least spread in the unit of the series.
    period : int
        Season in steps; 0 for none, -1 to find it in each series' past once two cycles are seen.
    memory : int
        Past distances that calibrate the score.
    hold : int
        For how many steps a surprising level is kept out of the baseline before it is taken as the new normal.
    direction : str
        "both", "up" or "down".
    """

    name: ClassVar[str] = "level"

    window: int = 120
    warmup: int = 12
    recent: int = 3
    floor_share: float = 0.05
    floor: float = 0.0
    period: int = -1
    memory: int = 720
    hold: int = 60
    direction: str = "both"

    def __post_init__(self) -> None:
        """Reject parameters that cannot work."""
        check_one_of(self.direction, DIRECTIONS, "direction")
        if not 2 <= self.warmup <= self.window or not 1 <= self.recent <= self.window or self.memory < self.warmup:
            raise InvalidInput(
                f"LevelShift has window={self.window}, warmup={self.warmup}, recent={self.recent},"
                f" memory={self.memory}: 2 <= warmup <= window, 1 <= recent <= window and warmup <= memory are needed."
            )
        if self.period not in (-1, 0) and self.period < 3:
            raise InvalidInput(
                f"LevelShift has period={self.period}: give at least 3 steps, 0 for none, -1 to find it."
            )
        if not (self.floor >= 0 and self.floor_share >= 0 and self.hold >= 0):
            raise InvalidInput(f"LevelShift has a negative floor, floor_share or hold: {self}.")

    def score(self, values: Block, *, step: float = 60.0) -> Block:
        """Return the surprise of each level in [0, 1], as every detector does; see `surprise.py`. Any step will do."""
        return to_score(self.surprise(values))

    def surprise(self, values: Block) -> Block:
        """Return how surprising each level is, as -log10 of its probability.

        Parameters
        ----------
        values : ndarray of float64, shape (n, t)
            One row per series, regular time steps; NaN is no sample.

        Returns
        -------
        ndarray of float64, shape (n, t)
            From 0 to 50, high = anomalous; NaN where there is no sample or not enough past.
        """
        return self._trace(values).score

    def expected(self, values: Block, threshold: float = 4.0) -> tuple[Block, Block, Block]:
        """Return (center, low, high): the band that the level leaves where the score passes `threshold`.

        All are causal and of the shape of `values`, NaN where there is not enough past.
        """
        if not threshold > 1:
            raise InvalidInput(f"threshold {threshold} is too low for a band: scores of 2 to 10 make one.")
        trace = self._trace(values)
        reach = (trace.knee + (threshold - 1) * trace.tail * _LN10) * trace.scale
        return trace.center, trace.center - reach, trace.center + reach

    def _trace(self, values: Block) -> _Trace:
        block = np.asarray(values, np.float64)
        if block.ndim != 2:
            raise ShapeError(f"a detector takes values of shape (series, time); got {block.shape}.")
        out = _Trace(*(np.full(block.shape, np.nan) for _ in range(5)))
        size = max(1, _CELLS // max(block.shape[1], 1))
        for first in range(0, len(block), size):
            rows = slice(first, first + size)
            # Differences of what is left are finite; infinities are no samples.
            part = np.where(np.isfinite(block[rows]), np.clip(block[rows], -1e150, 1e150), np.nan)
            _run(self, part, _Trace(*(array[rows] for array in out.arrays())))
        return out


def expected(values: Block, detector: LevelShift | None = None, threshold: float = 4.0) -> tuple[Block, Block, Block]:
    """Return the causal band (center, low, high) of each series, for drawing; see `LevelShift.expected`."""
    return (detector or LevelShift()).expected(values, threshold)


@dataclass(frozen=True, eq=False)
class _Trace:
    """What a run leaves per cell: level expected, its spread, the calibration of distances, the score."""

    center: Block
    scale: Block
    knee: Block
    tail: Block
    score: Block

    def arrays(self) -> tuple[Block, ...]:
        """Return the five blocks in the order of the fields."""
        return self.center, self.scale, self.knee, self.tail, self.score


def _blocks(t: int, detector: LevelShift) -> Iterator[tuple[int, int]]:
    """Yield column ranges: a tenth of the past at first, a tenth of the window later."""
    first = detector.warmup
    while first < t:
        last = min(t, first + max(1, min(first, detector.window) // 10))
        yield first, last
        first = last


def _run(detector: LevelShift, values: Block, out: _Trace) -> None:
    """Fill `out` for one chunk of series, block by block."""
    n, t = values.shape
    season = _Season(detector, values)
    base = season.residual.copy()
    distance = np.full((n, t), np.nan)
    held = np.zeros(n, np.int64)
    due = 0
    for first, last in _blocks(t, detector):
        if season.advance(first, last):
            keep = np.isfinite(base[:, :first])
            base[:, :first] = np.where(keep, season.residual[:, :first], np.nan)
        cells = slice(first, last)
        base[:, cells] = season.residual[:, cells]
        center, scale = _baseline(detector, base[:, max(0, first - detector.window) : first], season.level(cells))
        level = _recent(season.residual[:, max(0, first - detector.recent + 1) : last], last - first, detector.recent)
        z = (level - center) / scale
        size = np.abs(z) if detector.direction == "both" else np.maximum(z if detector.direction == "up" else -z, 0)
        if first >= due:
            knee, tail = _calibrate(distance[:, max(0, first - detector.memory) : first])
            due = first + min(first, detector.memory) // 20
        out.center[:, cells], out.scale[:, cells] = center + season.season[:, cells], scale
        out.knee[:, cells], out.tail[:, cells] = knee, tail
        score = np.minimum(_surprise(size, knee, tail), _HIGHEST)
        out.score[:, cells] = score
        distance[:, cells] = np.minimum(size, knee + (_CLIP_SCORE - 1) * tail * _LN10)
        _hold_back(detector, score, base[:, cells], distance[:, cells], held)


def _recent(values: Block, width: int, recent: int) -> Block:
    """Return the median of the last `recent` values at each of the last `width` columns, NaN where the newest is."""
    if recent == 1:
        return values[:, -width:]
    missing = width + recent - 1 - values.shape[1]
    padded = np.pad(values, ((0, 0), (max(missing, 0), 0)), constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, recent, axis=1)
    return np.where(np.isfinite(values[:, -width:]), median(views), np.nan)


def _baseline(detector: LevelShift, past: Block, seasonal_level: Block) -> tuple[Block, Block]:
    """Return center (n, 1) and scale (n, c) of the past; NaN where it has too few samples."""
    ordered = np.sort(past, axis=1)
    count = np.isfinite(past).sum(axis=1)
    center = quantile_of_sorted(ordered, count, 0.5)
    mad = median(np.abs(ordered - center[:, None]))
    # Of two modes a MAD sees the heavier one only, and 0 where most samples agree: the middle 80 % know better.
    spread = (quantile_of_sorted(ordered, count, 0.9) - quantile_of_sorted(ordered, count, 0.1)) / 2.5631
    scale = np.maximum(MAD_TO_SIGMA * mad, spread)
    scale = np.maximum(scale, _quantum(ordered, center, spread))
    center = np.where(count >= detector.warmup, center, np.nan)[:, None]
    floor = np.maximum(detector.floor_share * np.abs(center + seasonal_level), max(detector.floor, 1e-12))
    return center, np.maximum(scale[:, None], floor)


def _quantum(ordered: Block, center: Block, spread: Block) -> Block:
    """Return the smallest step between different past values: a series that moves in steps does so by one at least."""
    step = np.diff(ordered, axis=1)
    real = step > 1e-6 * np.abs(center)[:, None]
    smallest = np.where(real, step, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(smallest) & (spread > 0), smallest, 0.0)


def _calibrate(distance: Block) -> tuple[Block, Block]:
    """Return (knee, tail) of past distances, each (n, 1): a high quantile and the mean excess above it.

    With few distances both lean on values typical of steady series.
    """
    count = np.isfinite(distance).sum(axis=1)
    knee = quantile_of_sorted(np.sort(distance, axis=1), count, _QUANTILE)
    weight = count / (count + _PRIOR_WEIGHT)
    knee = weight * np.nan_to_num(knee) + (1 - weight) * _PRIOR_KNEE
    excess = np.maximum(distance - knee[:, None], 0.0)
    beyond = (excess > 0).sum(axis=1)
    tail = (np.nansum(excess, axis=1) + _PRIOR_WEIGHT * _PRIOR_TAIL) / (beyond + _PRIOR_WEIGHT)
    return knee[:, None], tail[:, None]


def _surprise(size: Block, knee: Block, tail: Block) -> Block:
    """Return -log10 of the probability of a distance at least this large."""
    beyond = 1.0 + (size - knee) / (tail * _LN10)
    return np.where(size > knee, beyond, size / np.maximum(knee, 1e-12))


def _hold_back(detector: LevelShift, score: Block, base: Block, distance: Block, held: npt.NDArray[np.int64]) -> None:
    """Blank surprising columns of the past in place, each series for at most `hold` columns in a row.

    The first distance of a run stays: an incident teaches once how far the series can go.
    """
    for column in range(score.shape[1]):
        surprising = score[:, column] > _CLIP_SCORE
        quiet = np.isfinite(score[:, column]) & ~surprising
        held[:] = np.where(quiet, 0, held + surprising)
        blank = surprising & (held <= detector.hold)
        base[blank, column] = np.nan
        distance[blank & (held > 1), column] = np.nan


class _Season:
    """The season of each series, as its past shows it; `residual` = values - season."""

    def __init__(self, detector: LevelShift, values: Block) -> None:
        self.detector = detector
        self.values = values
        self.season = np.zeros_like(values)
        self.residual = values.copy()
        self.period = np.zeros(len(values), np.int64)
        self._next = 0 if detector.period == 0 else 2 * detector.period if detector.period > 0 else 48

    def level(self, cells: slice) -> Block:
        """Return the seasonal part of the expected level, (n, c)."""
        return self.season[:, cells]

    def advance(self, first: int, last: int) -> bool:
        """Set the season of columns `[first, last)`; return whether residuals before `first` were made anew."""
        changed = False
        if self._next and first >= self._next:
            self._next = 2 * first
            changed = self._choose(first)
        columns = np.arange(first, last)
        for period in np.unique(self.period[self.period > 0]):
            rows = np.flatnonzero(self.period == period)
            season = np.nan_to_num(seasonal_median(self.values[rows], columns, int(period)))
            self.season[rows, first:last] = season
            self.residual[rows, first:last] = self.values[rows, first:last] - season
        return changed

    def _choose(self, first: int) -> bool:
        """Choose each series' period by the columns before `first`; keep one only where it explains the past better."""
        fixed = self.detector.period
        found = np.full(len(self.values), fixed) if fixed > 0 else find_period(self.values[:, :first])
        changed = False
        for period in np.unique(found):
            rows = np.flatnonzero((found == period) & (self.period != period))
            if len(rows):
                changed |= self._adopt(rows, int(period), first)
        return changed

    def _adopt(self, rows: npt.NDArray[np.int64], period: int, first: int) -> bool:
        begin = max(0, first - self.detector.window)
        plain = self.values[rows, begin:first]
        season = np.zeros_like(plain)
        if period:
            season = np.nan_to_num(seasonal_median(self.values[rows], np.arange(begin, first), period), nan=np.nan)
        before, after = median_and_mad(plain)[1], median_and_mad(plain - season)[1]
        better = np.full(len(rows), True) if not period else after < 0.8 * before
        rows, season = rows[better], season[better]
        self.period[rows] = period
        self.season[rows, begin:first] = np.nan_to_num(season)
        self.residual[rows, begin:first] = self.values[rows, begin:first] - season
        return len(rows) > 0
