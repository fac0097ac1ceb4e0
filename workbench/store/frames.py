"""Rows (logs, spans, events) on their way to Arrow and back: attribute columns of any type, and schemas that differ.

What a column becomes in Arrow depends on its values alone: all true/false -> bool, whole numbers -> int64, numbers ->
float64, anything else -> text. Where parts disagree on reading: whole and other numbers together are float64 (text
when a whole number is beyond 2**53), anything else together is text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import ShapeError
from workbench.signals.rows import EVENT_COLUMNS, LOG_COLUMNS, SPAN_COLUMNS, build_events, build_logs, build_spans

__all__ = ["BUILD", "REQUIRED", "mask", "to_arrow", "to_frame", "unify"]

REQUIRED: dict[str, list[str]] = {
    "logs": list(LOG_COLUMNS), "spans": [c for c in SPAN_COLUMNS if c != "parent"], "events": list(EVENT_COLUMNS),
}  # fmt: skip
"""Columns every stored row has; `parent` of spans is a row number and is linked anew on reading."""

BUILD = {"logs": build_logs, "spans": build_spans, "events": build_events}
"""Constructor of each shape."""

_EXACT = 2**53


def _text(value: Any) -> str:
    """Return an attribute value as text that UTF-8 can hold."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | np.bool_):
        text = "true" if value else "false"
    elif isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, dict | list | tuple):
        text = json.dumps(value, default=str)
    else:
        text = str(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _objects(values: pd.Series) -> pa.Array:
    """Return an object column by what its values are."""
    array = values.to_numpy(dtype=object)
    missing = np.asarray(pd.isna(values), bool)
    kinds = {type(v) for v in array[~missing].tolist()}
    if kinds and kinds <= {bool, np.bool_}:
        return pa.array([None if m else bool(v) for v, m in zip(array, missing, strict=True)], pa.bool_())
    try:
        if kinds and all(issubclass(k, int | np.integer) and k is not bool for k in kinds):
            return pa.array([None if m else int(v) for v, m in zip(array, missing, strict=True)], pa.int64())
        if kinds and all(issubclass(k, int | float | np.number) and k is not bool for k in kinds):
            return pa.array([None if m else float(v) for v, m in zip(array, missing, strict=True)], pa.float64())
    except (OverflowError, pa.ArrowInvalid):
        pass
    return pa.array([None if m else _text(v) for v, m in zip(array, missing, strict=True)], pa.string())


def _column(values: pd.Series) -> pa.Array:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _column(values.astype(dtype.categories.dtype))
    if dtype.kind == "M":
        plain = values.dt.tz_convert("UTC").dt.tz_localize(None) if isinstance(dtype, pd.DatetimeTZDtype) else values
        return pa.array(plain.to_numpy().astype("datetime64[ns]"), pa.timestamp("ns"), from_pandas=True)
    if dtype == "str":
        array = pa.array(values, from_pandas=True)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        return array.cast(pa.string()) if array.nbytes < 2**30 else array.cast(pa.large_string())
    if dtype.kind == "O":
        return _objects(values)
    array = pa.array(values, from_pandas=True)
    if pa.types.is_integer(array.type) and array.type != pa.uint64():
        return array if array.type == pa.int8() else array.cast(pa.int64())
    if pa.types.is_floating(array.type):
        return array.cast(pa.float64())
    return array if pa.types.is_boolean(array.type) else _objects(values.astype(object))


def to_arrow(frame: pd.DataFrame, signal: str) -> pa.Table:
    """Return the rows of a checked shape as an Arrow table sorted by time; a column without any value is left out."""
    if signal == "spans":
        frame = frame.drop(columns="parent").sort_values("time", kind="stable", ignore_index=True)
    columns: dict[str, pa.Array] = {}
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ShapeError(f"{signal} have two columns {twice[0]!r}: rename or drop one.")
    for name in frame.columns:
        array = _column(frame[name])
        if name in REQUIRED.get(signal, ("function", "file", "line")) or array.null_count < len(array):
            columns[_text(name)] = array
    return pa.table(columns)


def _numbers(wanted: Sequence[str]) -> list[float]:
    numbers = []
    for text in wanted:
        try:
            numbers.append(float(text))
        except ValueError:
            continue
    return numbers


def mask(table: pa.Table, start: int, end: int, where: Mapping[str, Sequence[str]]) -> npt.NDArray[np.bool_]:
    """Return which rows lie in [start, end) and have one of the wanted values in every column of `where`.

    Values are wanted as text; a column of numbers is compared by number, one of true/false by those words.
    """
    time = table["time"].to_numpy().view(np.int64)
    keep: npt.NDArray[np.bool_] = (time >= start) & (time < end)
    for name, wanted in where.items():
        if name not in table.column_names:
            return np.zeros(len(table), bool)
        column = table[name]
        if pa.types.is_boolean(column.type):
            choices = pa.array([w.lower() == "true" for w in wanted if w.lower() in ("true", "false")], pa.bool_())
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            column, choices = column.cast(pa.float64(), safe=False), pa.array(_numbers(wanted), pa.float64())
        else:
            choices = pa.array([str(w) for w in wanted], column.type if _is_text(column.type) else pa.string())
            column = column if _is_text(column.type) else column.cast(pa.string())
        hit = pc.is_in(column, value_set=choices, skip_nulls=True)
        keep &= hit.to_numpy().astype(bool)
    return keep


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _common(columns: list[pa.ChunkedArray]) -> pa.DataType:
    """Return the type that holds every part of one attribute column."""
    kinds = {c.type for c in columns}
    if len(kinds) == 1:
        return columns[0].type
    if all(pa.types.is_integer(k) for k in kinds):
        return pa.int64()
    if all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds):
        whole = [c for c in columns if pa.types.is_integer(c.type)]
        return pa.float64() if max(map(_reach, whole)) <= _EXACT else pa.large_string()
    return pa.large_string()


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_large_string(kind) and not _is_text(column.type):
        texts = [None if v is None else _text(v) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, kind)])
    return column.cast(kind)


def unify(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables with differing columns as one; a part without a column has missing values there."""
    if len(tables) == 1:
        return tables[0]
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = {}
    for name in names:
        kind = _common([t[name] for t in tables if name in t.column_names])
        parts = [
            _cast(t[name], kind) if name in t.column_names else pa.chunked_array([pa.nulls(len(t), kind)])
            for t in tables
        ]
        columns[name] = pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)
    return pa.table(columns)


def _series(column: pa.ChunkedArray) -> pd.Series:
    kind = column.type
    if pa.types.is_null(kind):
        return pd.Series([None] * len(column), dtype="str")
    wide = pa.types.is_integer(kind) and column.null_count and _reach(column) > _EXACT
    series: pd.Series = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get if wide else None)
    if pa.types.is_boolean(kind) and column.null_count:
        return series.where(series.notna(), np.nan)
    return series


def _reach(column: pa.ChunkedArray) -> int:
    """Return the largest absolute value of a column of whole numbers."""
    return max((abs(v) for v in pc.min_max(column).as_py().values() if v is not None), default=0)


def to_frame(tables: Sequence[pa.Table], signal: str, columns: Sequence[str] | None) -> pd.DataFrame:
    """Return rows as the frame of their shape.

    Parameters
    ----------
    tables : sequence of Table
    signal : {"logs", "spans", "events"}
    columns : sequence of str or None
        Attributes wanted beside the required columns, in that order; one that no row has is all missing. None = all.
    """
    data: dict[str, Any] = {}
    if tables:
        table = unify(tables)
        data = {name: _series(table[name]) for name in table.column_names}
    n = len(next(iter(data.values()))) if data else 0
    extra = [c for c in (data if columns is None else columns) if c not in REQUIRED[signal] and c != "parent"]
    ordered = {name: data.get(name, np.empty(0, "datetime64[ns]" if name == "time" else object)) for name in ["time"]}
    ordered |= {name: data[name] for name in REQUIRED[signal] if name in data}
    ordered |= {name: data[name] if name in data else pd.Series([None] * n, dtype="str") for name in extra}
    return BUILD[signal](ordered)
