"""From scores to events of kind "anomaly": what moved, from what to what, when, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.detect.episodes import episodes
from workbench.detect.robust import Block
from workbench.detect.words import describe, plain, series_text
from workbench.errors import ShapeError
from workbench.signals import build_events, labels_of
from workbench.signals.names import resolve

__all__ = ["levels", "of_episodes", "tags_of", "to_events", "units_of"]

_HUGE = 1e300

WARNING = 13
"""OpenTelemetry severity of an anomaly event."""

_BEFORE = 120
"""Steps before an episode whose median is the level before, where no expected level is given."""


def to_events(
    array: xr.DataArray,
    scores: Block,
    threshold: float = 4.0,
    *,
    center: Block | None = None,
    detector: str = "level",
    close: float | None = None,
    open_after: int = 1,
    close_after: int = 3,
    refractory: int = 0,
) -> pd.DataFrame:
    """Return one event of kind "anomaly" per episode of high scores.

    Parameters
    ----------
    array : DataArray
        Metrics, n series x t; the labels name the service, `attrs["unit"]` or a coordinate `unit` the unit.
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
        Events sorted by time, with `score`, `before`, `after` (float64), `detector`, `metric` and `series` (str, all
        labels as text). `end` is the first step after the episode, or the last step there is.

    Raises
    ------
    ShapeError
        If scores or center do not have the shape of the array.
    """
    for name, block in (("scores", scores), ("center", center)):
        if block is not None and block.shape != array.shape:
            raise ShapeError(f"{name} have shape {block.shape}, the metrics {array.shape}: score the same array.")
    found = episodes(
        scores, threshold, close=close, open_after=open_after, close_after=close_after, refractory=refractory
    )
    return of_episodes(array, found, center=center, detector=detector)


def of_episodes(
    array: xr.DataArray,
    found: pd.DataFrame,
    *,
    center: Block | None = None,
    detector: str = "level",
    more: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return one event per episode, as `to_events` does; `more` are further columns, or others for those there are."""
    series, start, end = (found[name].to_numpy() for name in ("series", "start", "end"))
    time = array["time"].values.astype("datetime64[ns]")
    before, after = levels(array.values, series, start, end)
    if center is not None:
        expected = center[series, start]
        before = np.where(np.isfinite(expected), expected, before)
    tags = tags_of(array, series)
    known = units_of(array)
    units = [known[row] for row in series]
    sentences = zip(tags, before.tolist(), after.tolist(), units, strict=True)
    return build_events(
        {
            "time": time[start],
            "end": time[np.minimum(end, len(time) - 1)] if len(time) else time[end],
            "kind": ["anomaly"] * len(found),
            "service": [resolve(tag, "service") for tag in tags],
            "env": [resolve(tag, "env") for tag in tags],
            "title": [plain(describe(*sentence)) for sentence in sentences],
            "severity": np.full(len(found), WARNING, np.int8),
            "score": found["score"].to_numpy(),
            "detector": pd.Series([detector] * len(found), dtype="str"),
            "series": pd.Series([series_text(tag) for tag in tags], dtype="str"),
            "metric": pd.Series([tag.get("metric", "") for tag in tags], dtype="str"),
            "before": before,
            "after": after,
            **(more or {}),
        }
    )


def levels(
    values: Block, series: npt.NDArray[np.int64], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> tuple[Block, Block]:
    """Return the medians before and within each episode, NaN where there is no sample."""
    windows = ((np.maximum(start - _BEFORE, 0), start), (start, end))
    sides = [
        [_middle(values[row, a:b]) for row, a, b in zip(series, first, last, strict=True)] for first, last in windows
    ]
    return np.array(sides[0], np.float64), np.array(sides[1], np.float64)


def _middle(values: Block) -> float:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan")
    # Of two huge middle ones the sum is no number.
    size = 1.0 if np.abs(finite).max() < _HUGE else 4.0
    return float(np.median(finite / size)) * size


def tags_of(array: xr.DataArray, series: npt.NDArray[np.int64]) -> list[dict[str, str]]:
    """Return the non-empty labels of the series of each episode."""
    table = labels_of(array)
    names = [str(name) for name in table.columns]
    rows = table.to_numpy()[series].astype(str).tolist()
    return [{name: text for name, text in zip(names, row, strict=True) if text} for row in rows]


def units_of(array: xr.DataArray) -> list[str]:
    """Return the unit of each series, "" where none is known."""
    if "unit" in array.coords and array.coords["unit"].dims == ("series",):
        return [str(unit) for unit in array.coords["unit"].values]
    return [str(array.attrs.get("unit", ""))] * array.sizes["series"]
