"""One frame of a mapped table to a batch of the shape that its mapping makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals import EVENT_KINDS, Batch, build_events, build_logs, build_samples, build_spans
from workbench.signals.rows import EVENT_COLUMNS, LOG_COLUMNS, SPAN_COLUMNS, SPAN_KINDS, SPAN_STATUS
from workbench.signals.samples import METRIC_KINDS
from workbench.sources.attributes import OVERFLOW, column_name
from workbench.sources.columns import text_column
from workbench.sources.severity import severity_from_text
from workbench.sources.source import ReadOptions
from workbench.sources.timestamps import UNIT_NS, instants_ns
from workbench.sources.values import json_text, to_text

__all__ = ["TARGETS", "build_batch", "signal_of"]

_TIMES = ("time", *(f"time_{unit}" for unit in UNIT_NS))
_DURATIONS = tuple(f"duration_{unit}" for unit in UNIT_NS)
TARGETS = (
    *_TIMES, "body", "severity", "value", "metric", "unit", "kind", "trace_id", "span_id", "parent_span_id", "name",
    "status", "end", *_DURATIONS, "title", "service", "env", "version", "host", "instance",
)  # fmt: skip
"""Workbench columns a mapping may name with a meaning of their own; any other name is an attribute or label."""


def signal_of(mapping: Mapping[str, str]) -> str:
    """Return which signal a mapping makes: spans, metrics, events or logs, "" when none."""
    if not any(name in mapping for name in _TIMES):
        return ""
    if {"trace_id", "span_id"} <= mapping.keys() and any(name in mapping for name in ("end", *_DURATIONS)):
        return "spans"
    for signal, key in (("metrics", "value"), ("logs", "body"), ("events", "title")):
        if key in mapping:
            return signal
    return ""


def build_batch(frame: pd.DataFrame, mapping: Mapping[str, str], options: ReadOptions) -> Batch:
    """Return the rows of one frame as a batch; rows without a valid time, duration or value are counted."""
    signal = signal_of(mapping)
    skips: Counter[str] = Counter()
    picked = _picked(frame, mapping)
    key = next(name for name in _TIMES if name in picked)
    time, bad = instants_ns(picked.pop(key), key.removeprefix("time").lstrip("_"))
    drop = _drop({"row without a time from 1970 to 2261": bad}, skips)
    columns = {"time": time, **picked}
    build = {"logs": _logs, "spans": _spans, "events": _events, "metrics": _metrics}[signal]
    used = set(mapping.values())
    rest = {str(name): frame[name] for name in frame.columns if name not in used}
    return Batch(**{signal: build(columns, rest, drop, options, skips)}, skips=skips)


def _picked(frame: pd.DataFrame, mapping: Mapping[str, str]) -> dict[str, pd.Series]:
    n = len(frame)
    return {
        name: pd.Series(np.full(n, column[1:]), dtype="str")
        if column.startswith("=")
        else frame[column].reset_index(drop=True)
        for name, column in mapping.items()
    }


def _drop(masks: Mapping[str, npt.NDArray[np.bool_]], skips: Counter[str]) -> npt.NDArray[np.bool_]:
    """Return which rows to leave out, each counted under the first reason that applies."""
    drop = np.zeros(len(next(iter(masks.values()))), bool)
    for reason, mask in masks.items():
        count = int((mask & ~drop).sum())
        if count:
            skips[reason] += count
        drop |= mask
    return drop


def _text(column: pd.Series, options: ReadOptions, skips: Counter[str], what: str) -> pd.Series:
    """Return any column as text, missing values as "", whole floats without their point."""
    if column.dtype != "str":
        values = [("" if pd.isna(v) else to_text(_whole(v))) for v in column.tolist()]
        return text_column(values, options.max_text_chars, skips, what)
    texts = column.fillna("")
    if (texts.str.len() > options.max_text_chars).any():
        return text_column(texts.tolist(), options.max_text_chars, skips, what)
    return texts


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _finish(
    columns: dict[str, Any],
    rest: Mapping[str, pd.Series],
    taken: Mapping[str, str],
    drop: npt.NDArray[np.bool_],
    options: ReadOptions,
    skips: Counter[str],
) -> dict[str, Any] | None:
    """Return required and attribute columns together without the rows to drop, None where none is left."""
    extra = {column_name(name, taken): _attribute(column, options, skips) for name, column in rest.items()}
    if len(extra) > options.max_columns:
        names = list(extra)[options.max_columns :]
        rows = [
            {k: v for k, v in zip(names, row, strict=True) if not pd.isna(v)}
            for row in zip(*(extra.pop(n) for n in names), strict=True)
        ]
        extra[OVERFLOW] = pd.Series(
            pd.array([json_text({k: to_text(v) for k, v in row.items()}) for row in rows], dtype="str")
        )
    whole = {**extra, **columns}
    keep = ~drop
    if not keep.any():
        return None
    return {
        name: pd.Series(column).reset_index(drop=True)[keep].reset_index(drop=True) for name, column in whole.items()
    }


def _attribute(column: pd.Series, options: ReadOptions, skips: Counter[str]) -> pd.Series:
    """Return an attribute column typed: text that is all numbers becomes numbers, other objects text."""
    column = column.reset_index(drop=True)
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("boolean")
    if pd.api.types.is_integer_dtype(column.dtype):
        return column.astype("Int64") if not pd.api.types.is_unsigned_integer_dtype(column.dtype) else _unsigned(column)
    if pd.api.types.is_float_dtype(column.dtype):
        return column.astype("float64")
    if column.dtype == "str":
        numbers = _numbers(column)
        if numbers is not None:
            return numbers
    return _text(column, options, skips, "attribute").where(column.notna())


def _unsigned(column: pd.Series) -> pd.Series:
    return column.astype("Int64") if (column.dropna() < 2**63).all() else column.astype("float64")


def _numbers(column: pd.Series) -> pd.Series | None:
    """Return text as Int64 or float64 where every value is a plain number; leading zeros stay text."""
    present = column.dropna()
    plain = r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?(?:[eE][+-]?\d{1,3})?"
    if not len(present) or not present.str.fullmatch(plain).all():
        return None
    numbers = pd.to_numeric(present)
    whole = pd.api.types.is_integer_dtype(numbers.dtype)
    typed: pd.Series = numbers.astype("Int64") if whole else numbers.astype("float64")
    return typed.reindex(column.index)


def _severity(column: pd.Series, options: ReadOptions, skips: Counter[str]) -> npt.NDArray[np.int8]:
    codes, distinct = pd.factorize(_text(column, options, skips, "severity"))
    return np.array([severity_from_text(str(text)) for text in distinct] or [0], np.int8)[codes]


def _logs(
    columns: dict[str, Any], rest: dict[str, pd.Series], drop: Any, options: ReadOptions, skips: Counter[str]
) -> Any:
    if "severity" in columns:
        column = columns["severity"]
        columns["severity"] = _severity(column, options, skips)
    for name in set(columns) & {"body", "service", "env", "trace_id", "span_id"}:
        columns[name] = _text(columns[name], options, skips, "log body" if name == "body" else name)
    rest |= {name: columns.pop(name) for name in set(columns) - {*LOG_COLUMNS, "trace_id", "span_id"}}
    found = _finish(columns, rest, {**LOG_COLUMNS, "trace_id": "", "span_id": ""}, drop, options, skips)
    return build_logs(found) if found else None


def _events(
    columns: dict[str, Any], rest: dict[str, pd.Series], drop: Any, options: ReadOptions, skips: Counter[str]
) -> Any:
    n = len(columns["time"])
    if "severity" in columns:
        columns["severity"] = _severity(columns["severity"], options, skips)
    if "end" in columns:
        ends, bad = instants_ns(columns["end"])
        columns["end"] = np.where(bad, np.iinfo(np.int64).min, ends).view("datetime64[ns]")
    kinds = (
        _text(columns["kind"], options, skips, "kind")
        if "kind" in columns
        else pd.Series(np.full(n, "note"), dtype="str")
    )
    unknown = ~kinds.isin(EVENT_KINDS)
    if unknown.any():
        skips["event of an unknown kind kept as note"] += int(unknown.sum())
    columns["kind"] = kinds.mask(unknown, "note")
    for name in set(columns) & {"title", "service", "env"}:
        columns[name] = _text(columns[name], options, skips, name)
    rest |= {name: columns.pop(name) for name in set(columns) - set(EVENT_COLUMNS)}
    found = _finish(columns, rest, EVENT_COLUMNS, drop, options, skips)
    return build_events(found) if found else None


def _choice(column: pd.Series, allowed: tuple[str, ...], skips: Counter[str], what: str) -> pd.Series:
    """Return a column of span kinds or status in our spelling: `SPAN_KIND_SERVER` and `Server` are `server`."""
    texts = column.fillna("").astype("str").str.lower().str.removeprefix("span_kind_").str.removeprefix("status_code_")
    unknown = ~texts.isin(allowed)
    wrong = int((unknown & (texts != "")).sum())
    if wrong:
        skips[f"unknown {what} read as {allowed[0]}"] += wrong
    return texts.mask(unknown, allowed[0])


def _spans(
    columns: dict[str, Any], rest: dict[str, pd.Series], drop: Any, options: ReadOptions, skips: Counter[str]
) -> Any:
    key = next((name for name in _DURATIONS if name in columns), "")
    if key:
        numbers = pd.to_numeric(columns.pop(key), errors="coerce").to_numpy(np.float64, na_value=np.nan)
        factor = UNIT_NS[key.removeprefix("duration_")]
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(numbers) * factor) < 2**62)
        duration = np.rint(np.where(bad, 0, numbers) * factor).astype(np.int64)
    else:
        ends, bad = instants_ns(columns.pop("end"))
        duration = np.where(bad, 0, ends - columns["time"])
    ids = {name: _text(columns[name], options, skips, name).str.lower() for name in ("trace_id", "span_id")}
    masks = {
        "": drop,
        "span without a duration": bad & ~drop,
        "span with a negative duration": (duration < 0) & ~drop,
        "span without a trace or span id": ((ids["trace_id"] == "") | (ids["span_id"] == "")).to_numpy(bool) & ~drop,
    }
    counted: Counter[str] = Counter()
    drop = _drop(masks, counted)
    del counted[""]
    skips.update(counted)
    columns |= {"duration_ns": duration, **ids}
    for name in set(columns) & {"parent_span_id", "name", "service", "env"}:
        columns[name] = _text(columns[name], options, skips, name)
    if "parent_span_id" in columns:
        columns["parent_span_id"] = columns["parent_span_id"].str.lower()
    for name, allowed in (("kind", SPAN_KINDS), ("status", SPAN_STATUS)):
        given = columns.get(name, pd.Series(np.full(len(duration), ""), dtype="str"))
        columns[name] = _choice(given, allowed, skips, f"span {name}")
    rest |= {name: columns.pop(name) for name in set(columns) - set(SPAN_COLUMNS)}
    found = _finish(columns, rest, SPAN_COLUMNS, drop, options, skips)
    return build_spans(found) if found else None


def _metrics(
    columns: dict[str, Any], rest: dict[str, pd.Series], drop: Any, options: ReadOptions, skips: Counter[str]
) -> Any:
    n = len(columns["time"])
    given = columns.pop("value")
    value = pd.to_numeric(given, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    spelled_nan = (
        given.astype("str").str.lower().eq("nan").to_numpy(bool) if given.dtype == "str" else np.zeros(n, bool)
    )
    wrong = np.isnan(value) & ~spelled_nan & (given.isna().to_numpy(bool) | (given.dtype == "str"))
    counted: Counter[str] = Counter()
    drop = _drop({"": drop, "sample without a value": wrong}, counted)
    del counted[""]
    skips.update(counted)
    time = columns.pop("time")
    kinds, units = columns.pop("kind", None), columns.pop("unit", None)
    labels = {name: _text(column, options, skips, "label") for name, column in columns.items()}
    for name, column in rest.items():
        if column.dtype == "str":
            labels[column_name(name, ("metric",))] = _text(column.reset_index(drop=True), options, skips, "label")
    labels.setdefault("metric", pd.Series(np.full(n, "value"), dtype="str"))
    if len(labels) > options.max_columns:
        extra = [name for name in labels if name != "metric"][options.max_columns - 1 :]
        skips["label column beyond intake.max_columns"] += len(extra)
        labels = {name: column for name, column in labels.items() if name not in extra}
    keep = np.flatnonzero(~drop)
    if not len(keep):
        return None
    frame = pd.DataFrame(labels).iloc[keep].reset_index(drop=True)
    group = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    kind = [k if k in METRIC_KINDS else "unknown" for k in _at(kinds, keep[first], "gauge")]
    samples = build_samples(frame.iloc[first], group, time[keep], value[keep], kind, _at(units, keep[first], ""))
    if samples.n_samples < len(keep):
        skips["sample replaced by a later one of the same series and instant"] += len(keep) - samples.n_samples
    return samples


def _at(column: pd.Series | None, rows: npt.NDArray[np.int64], default: str) -> list[str]:
    if column is None:
        return [default] * len(rows)
    return [default if pd.isna(v) or v == "" else str(v) for v in column.iloc[rows].tolist()]
