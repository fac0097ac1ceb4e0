"""Metrics: a float64 `DataArray` with dims `("series", "time")`, every label a coordinate on `series`.

NaN = no sample. All label coordinates share one `LabelIndex`, and `metric` is always among them ("" when a query took
the name away): two arrays therefore always share a coordinate, and xarray can never add them by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from workbench.errors import InvalidInput, ShapeError
from workbench.signals.labels import LabelIndex
from workbench.signals.samples import Samples, is_stale

__all__ = ["build_metrics", "check_metrics", "grid", "labels_of"]


def build_metrics(
    values: npt.NDArray[np.float64],
    time: npt.NDArray[np.datetime64],
    labels: pd.DataFrame | Mapping[str, npt.NDArray[np.object_]] | Sequence[Mapping[str, str]],
    attrs: Mapping[str, object] | None = None,
) -> xr.DataArray:
    """Return a metrics array.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
    time : ndarray of datetime64, shape (t,)
    labels : DataFrame, mapping of str to arrays of str objects, or sequence of mappings, n rows
        An absent label is ""; columns that are "" everywhere are dropped.
    attrs : mapping, optional
        `unit`, `kind` and the like.
    """
    if isinstance(labels, pd.DataFrame):
        given = {str(name): _texts(labels[name]) for name in sorted(labels.columns, key=str)}
    elif isinstance(labels, Mapping):
        given = {str(name): values for name, values in sorted(labels.items())}
    else:
        table = pd.DataFrame(list(labels), index=range(len(labels)))
        given = {str(name): _texts(table[name]) for name in sorted(table.columns, key=str)}
    block = np.asarray(values, np.float64)
    instants = np.asarray(time).astype("datetime64[ns]")
    n = len(next(iter(given.values()), ())) if isinstance(labels, Mapping) else len(labels)
    if block.shape != (n, len(instants)):
        raise ShapeError(f"values have shape {block.shape}; {n} series and {len(instants)} times were given.")
    columns = {_coordinate(name): text for name, text in given.items() if (text != "").any()}
    if "metric" not in columns:
        columns = {"metric": np.full(n, "", object), **columns}
    index = LabelIndex(columns)
    clock = xr.indexes.PandasIndex(pd.DatetimeIndex(instants), "time")
    # What `assign_coords` would find out by looking at every label again is known here.
    return xr.DataArray(
        xr.Variable(("series", "time"), block, dict(attrs or {})),
        coords={"time": clock.create_variables()["time"], **index.create_variables()},
        indexes={"time": clock, **dict.fromkeys(columns, index)},
        fastpath=True,
    )


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    """Return a label column as str objects, "" where there is none."""
    if column.dtype != "str":
        column = column.astype("object").fillna("").astype("str")
    found: npt.NDArray[np.object_] = column.to_numpy(dtype=object, na_value="")
    return found


_DIMS = ("series", "time")


def _coordinate(label: str) -> str:
    """Return the coordinate of a label: `time` is `time_`, `time_` is `time__`; the dimensions keep their names."""
    return label + "_" if label.rstrip("_") in _DIMS else label


def _label(coordinate: str) -> str:
    return coordinate[:-1] if coordinate.rstrip("_") in _DIMS and coordinate.endswith("_") else coordinate


def labels_of(array: xr.DataArray) -> pd.DataFrame:
    """Return the label table of a metrics array: one row per series, str objects, one column per label not all ""."""
    found = {_label(str(n)): c.values.astype(object) for n, c in array.coords.items() if c.dims == ("series",)}
    kept = {name: values for name, values in found.items() if (values != "").any()}
    return pd.DataFrame(kept, index=pd.RangeIndex(array.sizes["series"]), dtype="object")


def check_metrics(array: xr.DataArray) -> xr.DataArray:
    """Return the array unchanged if it is a metrics shape, else raise `ShapeError` that names the first offence."""
    if not isinstance(array, xr.DataArray) or array.dims != ("series", "time"):
        raise ShapeError(f"metrics need dims ('series', 'time'); got {getattr(array, 'dims', type(array).__name__)}.")
    if array.dtype != np.float64:
        raise ShapeError(f"metrics need float64 values; got {array.dtype}: use build_metrics.")
    if "time" not in array.coords or array.coords["time"].dtype != np.dtype("datetime64[ns]"):
        raise ShapeError("metrics need a 'time' coordinate of datetime64[ns]: use build_metrics.")
    if (np.diff(array.coords["time"].values.view(np.int64)) <= 0).any():
        raise ShapeError("metrics need strictly increasing times: sort them and drop repetitions.")
    bare = [str(n) for n, c in array.coords.items() if c.dims == ("series",) and n not in array.xindexes]
    if bare:
        raise ShapeError(f"labels {bare} are plain coordinates and would be lost in arithmetic: use build_metrics.")
    if "metric" not in array.coords:
        raise ShapeError("metrics lack the coordinate 'metric' and could be added by position: use build_metrics.")
    twice = array.xindexes["metric"].to_pandas_index().duplicated()
    if twice.any():
        labels = labels_of(array).iloc[int(np.argmax(twice))].to_dict()
        raise ShapeError(f"two series have the labels {labels}: aggregate them or give them a label that differs.")
    return array


def grid(
    samples: Samples,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    lookback: np.timedelta64 | None = None,
) -> xr.DataArray:
    """Return samples on a regular grid: at each step the newest sample of the last `lookback`, as Prometheus does.

    Parameters
    ----------
    samples : Samples
        n series.
    start, end : datetime64[ns]
        First and last step, both included when the distance is a multiple of `step`.
    step : timedelta64[ns]
    lookback : timedelta64[ns], optional
        Five minutes by default; a sample exactly that old does not count; a stale marker ends a series.

    Returns
    -------
    DataArray, shape (n, steps)
        With `kind` and `unit` in its attributes where all series agree.

    Raises
    ------
    InvalidInput
        If the step is not positive.
    """
    if not step > np.timedelta64(0, "ns"):
        raise InvalidInput(f"step {step} is not positive: give a duration above 0.")
    attrs = {key: given[0] for key, given in (("kind", samples.kind), ("unit", samples.unit)) if len(set(given)) == 1}
    times = np.arange(start, end + np.timedelta64(1, "ns"), step).astype("datetime64[ns]")
    reach = np.timedelta64(300, "s") if lookback is None else lookback
    n, m = len(samples), samples.n_samples
    if m == 0 or len(times) == 0:
        return build_metrics(np.full((n, len(times)), np.nan), times, samples.labels, attrs)
    # One sorted key per sample, series major, lets one searchsorted find the newest sample of every (series, step).
    stamps = np.unique(np.concatenate([samples.time, times]))
    width = len(stamps) + 1
    keys = samples.series_of_sample() * width + np.searchsorted(stamps, samples.time)
    wanted = np.arange(n)[:, None] * width + np.searchsorted(stamps, times)[None, :]
    at = np.searchsorted(keys, wanted, side="right") - 1
    inside = at >= samples.offsets[:-1, None]
    at = np.maximum(at, 0)
    fresh = inside & (times[None, :] - samples.time[at] < reach) & ~is_stale(samples.value)[at]
    return build_metrics(np.where(fresh, samples.value[at], np.nan), times, samples.labels, attrs)
