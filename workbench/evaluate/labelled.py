"""A series with its labels: the rows of one file in order of time, the regular grid a detector sees, and the windows.

Rows need not be regular. A detector sees a grid whose step is the usual distance of the first rows only, so that a
causal detector stays causal: a row belongs to the slot nearest to it, the first value in a slot is the slot's, and a
slot without a row is NaN. Each row gets the score of its slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workbench.errors import SourceError

__all__ = ["Block", "LabelledSeries", "LabelledSet", "Rows", "Skip", "make_series", "probation_rows"]

Block = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_STEP_ROWS = 32
"""Rows whose usual distance is the step, and whose usual phase is that of the slots."""

_ROUND_STEPS = 1e9 * np.array(
    [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 604800]
)

_LONGEST_GAP = 30 * 86_400 * 10**9
"""A gap longer than this (ns) is cut by whole weeks: one damaged timestamp must not make a grid of years."""

_WEEK_NS = 7 * 86_400 * 10**9
_MOST_SLOTS = 50_000_000


@dataclass(frozen=True)
class LabelledSeries:
    """One file of a labelled set.

    Attributes
    ----------
    key : str
        Path of the file inside the set, with `/`.
    category : str
        What is left out together when thresholds are chosen on the others: the folder of the file.
    time : ndarray of int64, shape (n,)
        Nanoseconds since 1970, ascending.
    value : ndarray of float64, shape (n,)
        NaN is no sample.
    windows : ndarray of int64, shape (w, 2)
        First and last row of each labelled window, both inside it; ascending, not overlapping.
    probation : int
        So many first rows are not scored.
    step : float
        Seconds between the slots of the grid.
    grid : ndarray of float64, shape (1, t)
        The values a detector sees.
    slot : ndarray of int64, shape (n,)
        Column of the grid that each row belongs to.
    order : ndarray of int64, shape (n,)
        Place of each row in the file: not ascending where the file is out of order.
    text : list of (str, str)
        Timestamp and value as the file writes them, in the order of the file.
    lost_windows : int
        Labelled windows that hold no row.
    """

    key: str
    category: str
    time: Rows
    value: Block
    windows: Rows
    probation: int
    step: float
    grid: Block = field(repr=False)
    slot: Rows = field(repr=False)
    order: Rows = field(repr=False)
    text: list[tuple[str, str]] = field(repr=False)
    lost_windows: int = 0

    @property
    def out_of_order(self) -> int:
        """Rows that stand in the file after a later one."""
        in_file = np.empty(len(self.time), np.int64)
        in_file[self.order] = self.time
        return int((in_file < np.maximum.accumulate(in_file)).sum()) if len(in_file) else 0

    def inside(self) -> Rows:
        """Return the number of the window each row lies in, int64 of shape (n,); -1 outside."""
        where = np.full(len(self.time), -1, np.int64)
        for number, (first, last) in enumerate(self.windows.tolist()):
            where[first : last + 1] = number
        return where

    def rows(self, scores: Block) -> Block:
        """Return the score of each row, shape (n,), from the scores of the grid, shape (1, t); no score becomes 0."""
        score: Block = np.nan_to_num(scores[0], nan=0.0)[self.slot]
        return score


@dataclass(frozen=True)
class Skip:
    """A file that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class LabelledSet:
    """A folder of labelled series.

    Attributes
    ----------
    series : list of LabelledSeries
        Sorted by key.
    labelled : bool
        False where the folder holds no labels: then its series can be scored by nobody, only be predicted.
    week_rows : int or None
        Rows that count as one week; None takes them from each series' step.
    skipped : list of Skip
    weights : dict of str to (float, float, float)
        Cost weights (hit, miss, false row) that the folder states, by profile; empty for the usual ones.
    """

    series: list[LabelledSeries]
    labelled: bool
    week_rows: int | None = None
    skipped: list[Skip] = field(default_factory=list)
    weights: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def weeks(self) -> float:
        """Return the series-weeks that are scored: the rows after probation in weeks."""
        return sum(
            (len(one.time) - one.probation) / (self.week_rows or 604_800 / one.step) for one in self.series
        )  # fmt: skip


def probation_rows(count: int) -> int:
    """Return how many first rows of a file are not scored: 15 % of them, at most 750, as NAB has it."""
    return min(int(0.15 * count), 750)


def make_series(
    key: str,
    category: str,
    time: Rows,
    value: Block,
    text: list[tuple[str, str]],
    windows: list[tuple[int, int]],
    probation: int | None = None,
) -> LabelledSeries:
    """Return a labelled series of rows in any order.

    Parameters
    ----------
    key, category : str
    time : ndarray of int64, shape (n,)
        Nanoseconds since 1970, in the order of the file.
    value : ndarray of float64, shape (n,)
    text : list of (str, str)
        Timestamp and value as written, n of them.
    windows : list of (int, int)
        Start and end of each labelled window, nanoseconds, both inside it; overlapping ones become one.
    probation : int, optional
        Rows that are not scored; by default as `probation_rows` says.

    Raises
    ------
    SourceError
        If there is no row, or the times span more steps than a grid may have.
    """
    if not len(time):
        raise SourceError(f"{key} has no rows: give a header and one row per sample.")
    order = np.argsort(time, kind="stable")
    time, value = time[order], value[order]
    step = _step(time)
    slot = _slots(time, step)
    if slot[-1] >= _MOST_SLOTS:
        raise SourceError(f"{key} spans {slot[-1]:,} steps of {step / 1e9:g} s: at most {_MOST_SLOTS:,} are taken.")
    rows, lost = _window_rows(time, windows)
    return LabelledSeries(
        key=key,
        category=category,
        time=time,
        value=value,
        windows=rows,
        probation=probation_rows(len(time)) if probation is None else probation,
        step=step / 1e9,
        grid=_grid(slot, value),
        slot=slot,
        order=order,
        text=text,
        lost_windows=lost,
    )


def _step(time: Rows) -> int:
    """Return the median distance (ns) of the first rows that are apart, made round; a minute where none is.

    It is made round where it, or the mean of the distances near it, is within a hundredth of a round step: with jitter
    the median is a little off, and would drift against the rows and against every season.
    """
    apart = np.diff(time[:_STEP_ROWS])
    apart = apart[apart > 0]
    if not len(apart):
        return 60 * 10**9
    middle = float(np.median(apart))
    for usual in (middle, float(apart[np.abs(apart - middle) <= middle / 4].mean())):
        rounded = float(_ROUND_STEPS[np.abs(_ROUND_STEPS - usual).argmin()])
        if abs(rounded - usual) <= 0.01 * rounded:
            return int(rounded)
    return max(round(middle), 1)


def _slots(time: Rows, step: int) -> Rows:
    """Return the slot of each row, 0 for the first; slots lie around the usual phase of the first rows."""
    gap = np.diff(time)
    # Whole weeks keep the phase of every season up to a week.
    cut = np.where(gap > _LONGEST_GAP, gap // _WEEK_NS * _WEEK_NS, 0)
    since = time - time[0] - np.concatenate(([0], np.cumsum(cut)))
    turn = np.exp(2j * np.pi * (since[:_STEP_ROWS] % step) / step).sum()
    # A phase right at the border between two slots would put every row that comes a little early into the wrong one.
    phase = round(float(np.angle(turn)) / (2 * np.pi) * step) if abs(turn) > 1e-6 else 0
    slots: Rows = (since - phase + step // 2) // step
    slots -= slots[0]
    return slots


def _grid(slot: Rows, value: Block) -> Block:
    """Return the first value of each slot: a later row of the same slot must not change the score of an earlier."""
    grid = np.full((1, int(slot[-1]) + 1), np.nan)
    present = np.flatnonzero(~np.isnan(value))
    first = present[np.unique(slot[present], return_index=True)[1]]
    grid[0, slot[first]] = value[first]
    return grid


def _window_rows(time: Rows, windows: list[tuple[int, int]]) -> tuple[Rows, int]:
    """Return the rows of the windows that hold any, joined where they overlap, and how many hold none."""
    found: list[list[int]] = []
    lost = 0
    for start, end in sorted(windows):
        first = int(np.searchsorted(time, start, "left"))
        last = int(np.searchsorted(time, end, "right")) - 1
        if last < first:
            lost += 1
        elif found and first <= found[-1][1]:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return np.array(found, np.int64).reshape(-1, 2), lost
