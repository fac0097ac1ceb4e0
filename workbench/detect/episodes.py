"""From scores to episodes: when does an anomaly begin, when does it end.

An episode opens where a score stays at or above the threshold, and closes where it stays below a lower one; two
episodes of one series closer than `refractory` steps are one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.detect.robust import Block
from workbench.errors import InvalidInput, ShapeError

__all__ = ["episodes"]


def episodes(
    scores: Block,
    threshold: float = 4.0,
    *,
    close: float | None = None,
    open_after: int = 1,
    close_after: int = 3,
    refractory: int = 0,
) -> pd.DataFrame:
    """Return the episodes in which scores are high.

    Parameters
    ----------
    scores : ndarray of float64, shape (n, t)
        High = anomalous; NaN is no score, which never opens an episode and counts as low for closing one.
    threshold : float, optional
        An episode opens with the first of `open_after` scores in a row at or above it.
    close : float, optional
        It closes before the first of `close_after` scores in a row below this; half the threshold by default.
    open_after, close_after : int, optional
        Steps in a row.
    refractory : int, optional
        Episodes of one series with a gap of at most this many steps are joined.

    Returns
    -------
    DataFrame
        `series` (row of scores), `start`, `end` (columns, half-open), `peak` (column of the highest score), `score`
        (the highest), `open` (bool, still going on at the last column); sorted by series and start.

    Raises
    ------
    InvalidInput
        If a parameter makes no sense.
    """
    block = np.asarray(scores, np.float64)
    if block.ndim != 2:
        raise ShapeError(f"episodes takes scores of shape (series, time); got {block.shape}.")
    lower = threshold / 2 if close is None else close
    if not lower <= threshold or open_after < 1 or close_after < 1 or refractory < 0:
        raise InvalidInput(
            f"episodes was given threshold={threshold}, close={lower}, open_after={open_after},"
            f" close_after={close_after}, refractory={refractory}: close <= threshold, steps >= 1 and"
            " refractory >= 0 are needed."
        )
    t = block.shape[1]
    if not block.size:
        return _table(np.empty(0, np.int64), np.empty(0, np.int64), block, t)
    with np.errstate(invalid="ignore"):
        starts = _run_starts(block >= threshold, open_after)
        stops = _run_starts(~(block >= lower), close_after)
    # The state at a column is that of the latest switch at or before it.
    column = np.arange(t)
    opened = np.maximum.accumulate(np.where(starts, column, -1), axis=1)
    closed = np.maximum.accumulate(np.where(stops, column, -1), axis=1)
    active = opened > closed
    edge = np.diff(np.pad(active.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    series, start = np.nonzero(edge == 1)
    end = np.nonzero(edge == -1)[1]
    joined = np.zeros(len(start), bool)
    joined[1:] = (series[1:] == series[:-1]) & (start[1:] - end[:-1] <= refractory) & (refractory > 0)
    last = np.append(np.flatnonzero(~joined)[1:] - 1, len(start) - 1) if len(start) else np.empty(0, np.int64)
    return _table(series[~joined] * t + start[~joined], series[~joined] * t + end[last], block, t)


def _run_starts(high: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Return where a run of at least `length` True begins or goes on for at least `length` more columns."""
    out = high.copy()
    for ahead in range(1, length):
        out[:, :-ahead] &= high[:, ahead:]
        out[:, -ahead:] = False
    return out


def _table(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64], scores: Block, t: int) -> pd.DataFrame:
    """Return the frame of episodes given as half-open ranges of flat cells."""
    flat = np.nan_to_num(scores.ravel(), nan=-np.inf)
    length = last - first
    cell = np.repeat(first - np.cumsum(length) + length, length) + np.arange(length.sum())
    owner = np.repeat(np.arange(len(first)), length)
    order = np.lexsort((cell, -flat[cell], owner))
    at = cell[order[np.cumsum(length) - length]] if len(first) else first
    width = max(t, 1)
    return pd.DataFrame(
        {
            "series": first // width,
            "start": first % width,
            "end": first % width + length,
            "peak": at % width,
            "score": flat[at],
            "open": first % width + length == t,
        }
    )
