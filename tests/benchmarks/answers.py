"""What the queries answer with: one `DataArray`, the same for every peer, and whether it holds the very same values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from tests.benchmarks.bench_data import Data


class Variant(NamedTuple):
    """One way to ask one peer one question.

    Attributes
    ----------
    query : str
        "Q1" all series and the whole day, "Q2" one series, "Q3" the last hour of all series.
    name : str
    contains : str
        What the answer holds: real timestamps, a grid, values alone.
    ask : callable
        Returns the answer as a `DataArray` of dims (series, time), or (values, time) arrays.
    times : int
        Most repetitions; slow servers are asked once per run.
    """

    query: str
    name: str
    contains: str
    ask: Callable[[], Any]
    times: int = 99


REAL = "real timestamps"
GRID = "grid"
BARE = "values only, order of the file trusted"


def labelled(
    values: np.ndarray, labels: Mapping[str, np.ndarray], at: np.ndarray | None = None, time: np.ndarray | None = None
) -> xr.DataArray:
    """Return values as (series, time) with every label a coordinate.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
    labels : mapping of str to ndarray of str objects, shape (n,)
    at : ndarray of int64 ms, shape (n, t), optional
        Real timestamps, one per value.
    time : ndarray of int64 ms, shape (t,), optional
        Grid.
    """
    # Given so, xarray takes the arrays as they are; a mapping of tuples would copy all timestamps once more.
    parts = {name: xr.Variable(("series",), column) for name, column in labels.items()}
    array = xr.DataArray(values, dims=("series", "time"))
    if at is not None:
        parts["at"] = xr.Variable(("series", "time"), at.view("datetime64[ms]"))
    if time is not None:
        array = array.assign_coords(time=time.view("datetime64[ms]").astype("datetime64[ns]"))
    return array.assign_coords(xr.Coordinates(parts, indexes={}))


def one_of(labels: Mapping[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    """Return the labels of one series."""
    return {name: column[row : row + 1] for name, column in labels.items()}


def _rows(answer: xr.DataArray, data: Data) -> np.ndarray:
    """Return which series of the data each row of the answer is, by its labels."""
    names = sorted({name for row in data.labels for name in row})
    known = {tuple(row.get(name, "") for name in names): i for i, row in enumerate(data.labels)}
    held = [answer.coords["metric" if name == "__name__" and name not in answer.coords else name] for name in names]
    columns = [np.broadcast_to(c.values, answer.sizes["series"]).tolist() for c in held]
    return np.array([known[key] for key in zip(*columns, strict=True)], np.int64)


def differing(variant: Variant, answer: Any, data: Data) -> dict[str, int]:
    """Return how many values, and how many timestamps where the answer has them, are not bit for bit the data's.

    The answer may list series in another order; NaN counts as equal to NaN only with the same bits.
    """
    asked = data.window()
    rows = np.array([asked["one"]]) if variant.query == "Q2" else np.arange(len(data))
    if isinstance(answer, xr.DataArray):
        found, at = np.asarray(answer.values), answer.coords.get("at")
        moments = None if at is None else at.values.astype("datetime64[ms]").view(np.int64).ravel()
        if variant.query != "Q2":
            rows = _rows(answer, data)
    else:
        found, moments = answer[0], answer[1]
    spans = [slice(data.offsets[i], data.offsets[i + 1]) for i in rows]
    low = asked["hour"] if variant.query == "Q3" else asked["start"]
    # A grid's cell holds the samples of (end - step, end], so its hour reaches from the sample after `hour`.
    kept = [data.time[s] >= low for s in spans]
    value = np.concatenate([data.value[s][k] for s, k in zip(spans, kept, strict=True)])
    time = np.concatenate([data.time[s][k] for s, k in zip(spans, kept, strict=True)])
    bits = np.ascontiguousarray(found, np.float64).ravel().view(np.uint64)
    if len(bits) != len(value):
        return {"values": max(len(bits), len(value)), "times": 0, "of": len(value)}
    times = 0 if moments is None else int((np.asarray(moments).ravel() != time).sum())
    return {"values": int((bits != value.view(np.uint64)).sum()), "times": times, "of": len(value)}
