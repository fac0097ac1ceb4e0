"""Rate, errors, duration: spans counted into time bins per group, as float64 blocks.

References
----------
Tom Wilkie, "The RED method".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import InvalidInput, ShapeError
from workbench.traces.quantiles import grouped, grouped_quantiles
from workbench.traces.tree import check_columns

__all__ = ["RedTable", "red"]

MAX_CELLS = 50_000_000
"""Most (group, bin) cells that `red` makes at once."""


@dataclass(frozen=True, eq=False)
class RedTable:
    """Calls, errors and durations of g groups in t time bins.

    Attributes
    ----------
    groups : DataFrame of str, shape (g, k)
        One row per group, one column per grouping tag.
    time : ndarray of datetime64[ns], shape (t,)
        Start of each bin; a bin is `[time, time + step)`.
    step : timedelta64[ns]
    calls, errors : ndarray of float64, shape (g, t)
        Counts, 0 where nothing was called.
    p50_ns, p95_ns : ndarray of float64, shape (g, t)
        Quantiles of duration in nanoseconds, NaN where nothing was called.
    """

    groups: pd.DataFrame
    time: npt.NDArray[np.datetime64]
    step: np.timedelta64
    calls: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    p50_ns: npt.NDArray[np.float64]
    p95_ns: npt.NDArray[np.float64]

    @property
    def rate(self) -> npt.NDArray[np.float64]:
        """Calls per second, float64 of shape (g, t)."""
        per_second = float(self.step / np.timedelta64(1, "s"))
        out: npt.NDArray[np.float64] = self.calls / per_second
        return out

    @property
    def error_share(self) -> npt.NDArray[np.float64]:
        """Failed calls over calls, float64 of shape (g, t), NaN where nothing was called."""
        out = np.full(self.calls.shape, np.nan)
        np.divide(self.errors, self.calls, out=out, where=self.calls > 0)
        return out


def red(
    spans: pd.DataFrame,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    by: Sequence[str] = ("service",),
) -> RedTable:
    """Return calls, errors and duration quantiles of the given spans per group and time bin.

    Every span given counts; for requests served by a service pass `spans[entries(spans)]`.

    Parameters
    ----------
    spans : DataFrame
        Spans, any rows, also cut from a larger frame.
    start, end : datetime64
        Half-open window; spans are placed by their start.
    step : timedelta64
        Width of a bin; the last one may reach beyond `end` but holds only what lies before it.
    by : sequence of str, optional
        Columns whose values make a group; a missing value counts as "".

    Raises
    ------
    InvalidInput
        If the window or step is empty, a column does not exist, or the table would not fit in memory.
    """
    check_columns(spans)
    first, last, width = _grid(start, end, step)
    unknown = [name for name in by if name not in spans.columns]
    if unknown or not by:
        raise InvalidInput(f"spans cannot be grouped by {unknown or 'nothing'}: columns are {list(spans.columns)}.")
    if spans["time"].dtype != np.dtype("datetime64[ns]"):
        raise ShapeError(f"spans column 'time' has dtype {spans['time'].dtype}; it must be datetime64[ns].")
    bins = -(-(last - first) // width)
    stamp = spans["time"].to_numpy().view(np.int64)
    inside = (stamp >= first) & (stamp < last)
    chosen = spans.loc[inside, [*by, "duration_ns", "status"]]
    keys = chosen[list(by)].astype("object").fillna("").astype("str")
    group, groups = grouped(keys, by)
    cells = len(groups) * bins
    if cells > MAX_CELLS:
        raise InvalidInput(
            f"{len(groups)} groups x {bins} bins are {cells:,} cells; at most {MAX_CELLS:,} fit: widen the step."
        )
    cell = group * bins + (stamp[inside] - first) // width
    failed = (chosen["status"] == "error").to_numpy(np.float64)
    shape = (len(groups), bins)
    p50, p95 = grouped_quantiles(cell, chosen["duration_ns"].to_numpy(), cells, (0.5, 0.95))
    return RedTable(
        groups,
        (first + width * np.arange(bins)).view("datetime64[ns]"),
        np.timedelta64(width, "ns"),
        np.bincount(cell, minlength=cells).astype(np.float64).reshape(shape),
        np.bincount(cell, weights=failed, minlength=cells).astype(np.float64).reshape(shape),
        p50.reshape(shape),
        p95.reshape(shape),
    )


def _grid(start: np.datetime64, end: np.datetime64, step: np.timedelta64) -> tuple[int, int, int]:
    first = int(start.astype("datetime64[ns]").astype(np.int64))
    last = int(end.astype("datetime64[ns]").astype(np.int64))
    width = int(step.astype("timedelta64[ns]").astype(np.int64))
    if last <= first or width <= 0 or np.isnat(start) or np.isnat(end) or np.isnat(step):
        raise InvalidInput(f"window {start} to {end} with step {step} is empty: start < end and step > 0 are needed.")
    return first, last, width
