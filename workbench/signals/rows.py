"""Logs, spans and events: three frames with fixed required columns and any attributes beside them.

A frame is built by `build_logs`, `build_spans` or `build_events` from a mapping of columns, and judged by `check_logs`,
`check_spans` or `check_events`. Text columns have pandas' `str` dtype; a missing attribute is NaN, a missing required
text is an empty string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import ShapeError
from workbench.signals.time import MAX_NS, MIN_NS

__all__ = [
    "EVENT_COLUMNS",
    "EVENT_KINDS",
    "FAULT_KINDS",
    "LOG_COLUMNS",
    "SPAN_COLUMNS",
    "SPAN_KINDS",
    "SPAN_STATUS",
    "build_events",
    "build_logs",
    "build_spans",
    "check_events",
    "check_logs",
    "check_spans",
    "link_parents",
]

LOG_COLUMNS = {"time": "time", "severity": "int8", "body": "str", "service": "str", "env": "str"}
"""Required columns of logs; severity is OpenTelemetry's number 1-24, 0 when the source gave none."""

SPAN_COLUMNS = {
    "time": "time", "duration_ns": "int64", "trace_id": "str", "span_id": "str", "parent_span_id": "str",
    "name": "str", "kind": "str", "status": "str", "service": "str", "env": "str", "parent": "int32",
}  # fmt: skip
"""Required columns of spans; `parent` is the row of the parent span in the same frame, -1 for none."""

EVENT_COLUMNS = {
    "time": "time", "end": "nullable time", "kind": "str", "service": "str", "env": "str", "title": "str",
    "severity": "int8",
}  # fmt: skip
"""Required columns of events; `end` is NaT for an instant."""

SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Span kinds in the order of OpenTelemetry's enumeration."""

SPAN_STATUS = ("unset", "ok", "error")
"""Span status codes in the order of OpenTelemetry's enumeration."""

EVENT_KINDS = ("deploy", "config", "scale", "flag", "alert", "anomaly", "incident", "note")
"""What an event may be."""

FAULT_KINDS = (
    "latency", "errors", "bad_deploy", "memory_leak", "cpu_saturation", "lock_contention", "slow_query",
    "dependency_down", "retry_storm", "traffic_surge",
)  # fmt: skip
"""The one list of fault kinds: recorded truth, hypotheses and runbooks all use it."""


_DEFAULTS = {"str": "", "int8": 0, "int32": -1, "int64": 0, "nullable time": np.datetime64("NaT", "ns")}


def _instants(values: Any) -> pd.Series:
    """Return datetimes, ISO 8601 text or whole nanoseconds (missing ones allowed) as naive UTC `datetime64[ns]`."""
    stamps = pd.Series(np.asarray(values))
    if pd.api.types.infer_dtype(stamps, skipna=True) in ("integer", "floating", "mixed-integer-float"):
        return stamps.astype("Int64").astype("datetime64[ns]")
    if stamps.dtype.kind != "M" or stamps.dt.tz is not None:
        stamps = pd.to_datetime(stamps, utc=True, format="ISO8601").dt.tz_localize(None)
    return stamps.astype("datetime64[ns]")


def _column(values: Any, dtype: str) -> pd.Series:
    """Return one required column; the index of a Series given is ignored, a number that does not fit is an error."""
    if dtype == "str":
        return pd.Series(np.asarray(values, object), dtype="object").fillna("").astype("str")
    if dtype in ("time", "nullable time"):
        return _instants(values)
    given = np.asarray(values)
    with np.errstate(invalid="ignore"):
        numbers = given.astype(dtype)
    if not (numbers == given).all():
        raise ValueError(f"{given[numbers != given][0]} is not a whole number of {dtype}")
    return pd.Series(numbers)


def _columns(columns: Mapping[str, Any], n: int, shape: str) -> dict[str, Any]:
    """Return every column as something of length n; a single text or number is repeated."""
    out = {}
    for name, values in columns.items():
        if not pd.api.types.is_list_like(values):
            values = np.full(n, values, object if isinstance(values, str) or values is None else None)
        if len(values) != n:
            raise ShapeError(f"{shape} column {name!r} has {len(values)} rows; 'time' has {n}: give one value per row.")
        out[name] = values
    return out


def _build(columns: Mapping[str, Any], required: Mapping[str, str], shape: str) -> pd.DataFrame:
    if "time" not in columns:
        raise ShapeError(f"{shape} need a 'time' column; got {sorted(columns) or 'no columns'}.")
    n = len(columns["time"])
    given = _columns(columns, n, shape)
    data: dict[str, Any] = {}
    for name, dtype in required.items():
        values = given.pop(name) if name in given else np.full(n, _DEFAULTS[dtype])
        try:
            data[name] = _column(values, dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise ShapeError(f"{shape} column {name!r} cannot be {dtype}: {str(error)[:200]}.") from error
    for name, values in given.items():
        data[name] = pd.Series(values).set_axis(pd.RangeIndex(n))
    return pd.DataFrame(data, index=pd.RangeIndex(n))


def build_logs(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a logs frame sorted by time.

    Parameters
    ----------
    columns : mapping of str to array of shape (n,)
        `time` (datetime64 or int64 ns) is required; other required columns get neutral defaults; the rest are
        attributes. A single text or number stands for n equal ones.

    Raises
    ------
    ShapeError
        If `time` is absent, columns differ in length, or values do not fit the column.
    """
    frame = _build(columns, LOG_COLUMNS, "logs")
    return frame.sort_values("time", kind="stable", ignore_index=True)


def build_events(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return an events frame sorted by time; `columns` as in `build_logs`, `end` NaT where absent."""
    frame = _build(columns, EVENT_COLUMNS, "events")
    return frame.sort_values("time", kind="stable", ignore_index=True)


def build_spans(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a spans frame sorted by `trace_id`, `time`, with `parent` rows linked.

    Parameters
    ----------
    columns : mapping of str to array of shape (n,)
        `time` (start) is required; `duration_ns` in nanoseconds; ids as lower-case hex text.
    """
    frame = _build({k: v for k, v in columns.items() if k != "parent"}, SPAN_COLUMNS, "spans")
    frame = frame.sort_values(["trace_id", "time"], kind="stable", ignore_index=True)
    frame["parent"] = link_parents(frame["trace_id"], frame["span_id"], frame["parent_span_id"])
    return frame


def link_parents(trace_id: pd.Series, span_id: pd.Series, parent_span_id: pd.Series) -> np.ndarray:
    """Return the row of each span's parent within the same trace, -1 for roots, missing parents and cycles.

    Parameters
    ----------
    trace_id, span_id, parent_span_id : Series of str, shape (n,)

    Returns
    -------
    ndarray of int32, shape (n,)
        Where a span id occurs twice in a trace, the first row is the parent.
    """
    n = len(trace_id)
    if n == 0:
        return np.empty(0, np.int32)
    trace = pd.factorize(trace_id, use_na_sentinel=False)[0].astype(np.int64)
    ids = pd.concat([span_id, parent_span_id], ignore_index=True)
    codes = pd.factorize(ids, use_na_sentinel=False)[0].astype(np.int64)
    width = int(codes.max()) + 1
    own, wanted = trace * width + codes[:n], trace * width + codes[n:]
    order = np.argsort(own, kind="stable")
    at = np.searchsorted(own[order], wanted)
    candidate = order[np.minimum(at, n - 1)]
    found = (own[candidate] == wanted) & (parent_span_id.to_numpy() != "")
    parent = np.where(found, candidate, -1)
    parent[parent == np.arange(n)] = -1
    return _cut_cycles(parent).astype(np.int32)


def _cut_cycles(parent: np.ndarray) -> np.ndarray:
    """Detach every span whose chain of parents never reaches a root (pointer doubling, log2(depth) passes)."""
    n = len(parent)
    jump = np.append(np.where(parent < 0, n, parent), n)
    for _ in range(max(1, n.bit_length())):
        jump = jump[jump]
        if (jump == n).all():
            return parent
    return np.where(jump[:n] != n, -1, parent)


def _check(frame: pd.DataFrame, required: Mapping[str, str], shape: str, by: list[str]) -> pd.DataFrame:
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise ShapeError(f"{shape} lack the columns {missing}; required are {list(required)}: use build_{shape}.")
    for name, dtype in required.items():
        have = frame[name].dtype
        wanted = {"time": "datetime64[ns]", "nullable time": "datetime64[ns]"}.get(dtype, dtype)
        if str(have) != wanted:
            raise ShapeError(f"{shape} column {name!r} has dtype {have}; it must be {wanted}: use build_{shape}.")
    stamps = frame["time"].to_numpy().view(np.int64)
    outside = int(((stamps < MIN_NS) | (stamps >= MAX_NS)).sum())
    if outside:
        raise ShapeError(f"{shape} hold {outside} instants outside 1970-2261 or missing: drop or repair those rows.")
    ordered = stamps[1:] >= stamps[:-1]
    if "trace_id" in by:
        trace = frame["trace_id"].to_numpy(object)
        ordered = (trace[1:] > trace[:-1]) | ((trace[1:] == trace[:-1]) & ordered)
    if not ordered.all():
        raise ShapeError(f"{shape} are not sorted by {', '.join(by)}: use build_{shape}.")
    return frame


def check_logs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged if it is a logs shape, else raise `ShapeError` that names the first offence."""
    _check(frame, LOG_COLUMNS, "logs", ["time"])
    _check_range(frame["severity"], 0, 24, "logs", "severity")
    return frame


def check_events(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged if it is an events shape, else raise `ShapeError` that names the first offence."""
    _check(frame, EVENT_COLUMNS, "events", ["time"])
    _check_choice(frame["kind"], EVENT_KINDS, "events", "kind")
    _check_range(frame["severity"], 0, 24, "events", "severity")
    return frame


def check_spans(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame unchanged if it is a spans shape, else raise `ShapeError` that names the first offence."""
    _check(frame, SPAN_COLUMNS, "spans", ["trace_id", "time"])
    _check_choice(frame["kind"], SPAN_KINDS, "spans", "kind")
    _check_choice(frame["status"], SPAN_STATUS, "spans", "status")
    if (frame["duration_ns"] < 0).any():
        raise ShapeError("spans hold a negative duration_ns: durations are at least 0; drop or repair those rows.")
    _check_range(frame["parent"], -1, len(frame) - 1, "spans", "parent")
    child = np.flatnonzero(frame["parent"].to_numpy() >= 0)
    parent = frame["parent"].to_numpy()[child]
    trace, own = frame["trace_id"].to_numpy(object), frame["span_id"].to_numpy(object)
    wanted = frame["parent_span_id"].to_numpy(object)[child]
    wrong = (trace[parent] != trace[child]) | (own[parent] != wanted)
    if wrong.any():
        raise ShapeError(
            f"spans row {child[wrong][0]} has a parent row that is not its parent span: use build_spans anew after"
            " rows were filtered or moved."
        )
    return frame


def _check_range(column: pd.Series, low: int, high: int, shape: str, name: str) -> None:
    bad = ~column.between(low, max(low, high))
    if bad.any():
        raise ShapeError(f"{shape} column {name!r} holds {column[bad].iloc[0]}; allowed are {low} to {high}.")


def _check_choice(column: pd.Series, allowed: tuple[str, ...], shape: str, name: str) -> None:
    bad = ~column.isin(allowed)
    if bad.any():
        raise ShapeError(f"{shape} column {name!r} holds {column[bad].iloc[0]!r}; allowed are {', '.join(allowed)}.")
