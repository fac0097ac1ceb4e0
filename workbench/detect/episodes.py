"""From scores to episodes to events: open, close, and tell what happened in words.

An episode opens where a score stays at or above the threshold, and closes where it stays below a lower one; two
episodes of one series closer than `refractory` steps are one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.detect.level import LevelShift
from workbench.detect.robust import Block
from workbench.detect.words import describe, series_text
from workbench.errors import InvalidInput, ShapeError
from workbench.signals import build_events, labels_of
from workbench.signals.names import resolve

__all__ = ["episodes", "to_events"]

WARNING = 13
"""OpenTelemetry severity of an anomaly event."""


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
        `series` (row of scores), `start`, `end` (columns, half-open), `peak` (column of the highest score), `score` (the
        highest), `open` (bool, still going on at the last column); sorted by series and start.

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
            f"episodes was given threshold={threshold}, close={lower}, open_after={open_after}, close_after={close_after},"
            f" refractory={refractory}: close <= threshold, steps >= 1 and refractory >= 0 are needed."
        )
    n, t = block.shape
    if not block.size:
        return _table(*(np.empty(0, np.int64) for _ in range(2)), block, t)
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


def to_events(
    array: xr.DataArray,
    scores: Block,
    threshold: float = 4.0,
    *,
    center: Block | None = None,
    detector: str = LevelShift.name,
    close: float | None = None,
    open_after: int = 1,
    close_after: int = 3,
    refractory: int = 0,
) -> pd.DataFrame:
    """Return one event of kind "anomaly" per episode of high scores.

    Parameters
    ----------
    array : DataArray
        Metrics, n series x t; its labels name the service, `attrs["unit"]` or a coordinate `unit` the unit.
    scores : ndarray of float64, shape (n, t)
        Of the same series and times.
    threshold, close, open_after, close_after, refractory
        As in `episodes`.
    center : ndarray of float64, shape (n, t), optional
        Expected level, as `LevelShift.expected` gives it; by default the median before the episode.
    detector : str, optional
        Name written into the column `detector`.

    Returns
    -------
    DataFrame
        Events with `score`, `detector`, `series` (labels as text), `metric`, `before`, `after` (float64).
    """
    if scores.shape != array.shape:
        raise ShapeError(f"scores have shape {scores.shape}, the metrics {array.shape}: score the same array.")
    found = episodes(
        scores, threshold, close=close, open_after=open_after, close_after=close_after, refractory=refractory
    )
    labels = labels_of(array)
    values, time = array.values, array["time"].values.astype("datetime64[ns]")
    units = _units(array)
    rows = []
    for episode in found.itertuples(index=False):
        tags = {name: str(text) for name, text in labels.iloc[episode.series].items() if text}
        before, after = _levels(values[episode.series], episode.start, episode.end)
        if center is not None and np.isfinite(center[episode.series, episode.start]):
            before = float(center[episode.series, episode.start])
        rows.append(
            {
                "time": time[episode.start],
                "end": time[episode.end] if episode.end < len(time) else time[-1],
                "service": resolve(tags, "service"),
                "env": resolve(tags, "env"),
                "title": describe(tags, before, after, units[episode.series]),
                "score": float(episode.score),
                "series": series_text(tags),
                "metric": tags.get("metric", ""),
                "before": before,
                "after": after,
            }
        )
    names = ("time", "end", "service", "env", "title", "score", "series", "metric", "before", "after")
    columns = {name: [row[name] for row in rows] for name in names}
    m = len(rows)
    for name in ("time", "end"):
        columns[name] = np.array(columns[name], "datetime64[ns]")
    for name in ("series", "metric"):
        columns[name] = pd.Series(columns[name], dtype="str")
    for name in ("score", "before", "after"):
        columns[name] = np.array(columns[name], np.float64)
    fixed = {"kind": ["anomaly"] * m, "severity": np.full(m, WARNING, np.int8)}
    return build_events({**columns, **fixed, "detector": pd.Series([detector] * m, dtype="str")})


def _levels(values: Block, start: int, end: int) -> tuple[float, float]:
    """Return the medians before and within an episode, NaN where there is no sample."""
    sides = (values[max(0, start - 120) : start], values[start:end])
    finite = [side[np.isfinite(side)] for side in sides]
    before, after = (float(np.median(side)) if len(side) else float("nan") for side in finite)
    return before, after


def _units(array: xr.DataArray) -> list[str]:
    if "unit" in array.coords and array.coords["unit"].dims == ("series",):
        return [str(unit) for unit in array.coords["unit"].values]
    return [str(array.attrs.get("unit", ""))] * array.sizes["series"]
