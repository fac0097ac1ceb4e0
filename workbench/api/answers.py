"""What queries give, spelled as Prometheus spells it: vector, matrix, scalar or string, as text made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.api.numbers import plain, seconds, spelled
from workbench.query.promql import Answer
from workbench.query.promql.histogram_reads import bucket_list
from workbench.query.promql.values import Labels, Scalar, Text, Vector
from workbench.signals import Histograms

__all__ = ["instant_answer", "quoted", "range_answer", "refusal", "success"]

_Bools = npt.NDArray[np.bool_]


def quoted(value: object) -> str:
    """Return a value as JSON text that is safe inside a page, too."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def success(data: str, notes: Sequence[str] = ()) -> str:
    """Return an answer around data that is JSON already, with what an evaluation remarked."""
    infos = [note for note in notes if note.startswith("PromQL info")]
    warnings = [note for note in notes if note not in infos]
    extra = "".join(f',"{name}":{quoted(lines)}' for name, lines in (("warnings", warnings), ("infos", infos)) if lines)
    return f'{{"status":"success","data":{data}{extra}}}'


def refusal(kind: str, message: str) -> str:
    """Return an answer that is an error."""
    return f'{{"status":"error","errorType":{quoted(kind)},"error":{quoted(message)}}}'


def instant_answer(answer: Answer) -> str:
    """Return what a query gives at one instant."""
    value, at = answer.value, int(answer.steps[0]) // 10**6
    if isinstance(value, Scalar):
        return _data("scalar", [f'{_float(at)},"{plain(float(value.values[0]))}"'])
    if isinstance(value, Text):
        return _data("string", [f"{_float(at)},{quoted(value.value)}"])
    if not isinstance(value, Vector):
        return _data("matrix", _windows(value))
    order = np.arange(value.labels.n) if value.ordered else value.labels.order()
    rows = order[value.present[order, 0]]
    held = np.full(len(rows), -1) if value.rows is None else value.rows[rows, 0]
    texts = spelled(value.values[rows, 0].tolist())
    stamp = seconds(at)
    items = zip(_metrics(value.labels, rows), texts, held.tolist(), strict=True)
    return _data(
        "vector",
        [
            f'{{"metric":{metric},"value":[{stamp},"{text}"]}}'
            if row < 0
            else f'{{"metric":{metric},"histogram":[{stamp},{_histogram(value.pool, row)}]}}'
            for metric, text, row in items
        ],
    )


def range_answer(answer: Answer) -> str:
    """Return what a query gives at every step; a scalar is a series without labels."""
    value = answer.value
    stamps = [f"[{seconds(ms)}," for ms in (answer.steps // 10**6).tolist()]
    if isinstance(value, Scalar):
        return _data("matrix", [_series("{}", stamps, value.values)])
    if not isinstance(value, Vector):
        raise TypeError("a range query gives a vector or a scalar")
    rows = value.labels.order()
    some: _Bools = np.any(value.present, axis=1)
    rows = rows[some[rows]]
    found = []
    for metric, row in zip(_metrics(value.labels, rows), rows.tolist(), strict=True):
        at = np.flatnonzero(value.present[row])
        held = None if value.rows is None else value.rows[row, at]
        mine = [stamps[i] for i in at.tolist()]
        found.append(_series(metric, mine, value.values[row, at], held, value.pool))
    return _data("matrix", found)


def _histogram(pool: Histograms | None, row: int) -> str:
    """Return a native histogram as Prometheus writes it: its buckets with their rules and bounds, empty ones left out."""
    assert pool is not None
    count, total = spelled([float(pool.count[row]), float(pool.sum[row])])
    buckets = []
    for rule, *numbers in bucket_list(pool, row):
        low, high, held = spelled(numbers)
        buckets.append(f'[{rule},"{low}","{high}","{held}"]')
    listed = f',"buckets":[{",".join(buckets)}]' if buckets else ""
    return f'{{"count":"{count}","sum":"{total}"{listed}}}'


def _windows(value: Any) -> list[str]:
    """Return the samples of the window of every series of a range vector."""
    found = []
    order = value.labels.order()
    for metric, row in zip(_metrics(value.labels, order), order.tolist(), strict=True):
        own = slice(int(value.low[row, 0]), int(value.high[row, 0]))
        if own.stop > own.start:
            stamps = [f"[{seconds(ms)}," for ms in (value.time[own] // 10**6).tolist()]
            held = None if value.row is None else value.row[own]
            found.append(_series(metric, stamps, value.value[own], held, value.pool))
    return found


def _series(
    metric: str,
    stamps: Sequence[str],
    values: npt.NDArray[np.float64],
    held: npt.NDArray[np.int64] | None = None,
    pool: Histograms | None = None,
) -> str:
    """Return a series: its numbers, then its histograms, which are where `held` is a row of `pool`."""
    if held is None or not (held >= 0).any():
        pairs = ",".join([f'{s}"{text}"]' for s, text in zip(stamps, spelled(values.tolist()), strict=True)])
        return f'{{"metric":{metric},"values":[{pairs}]}}'
    rows = held.tolist()
    numbers = [f'{s}"{t}"]' for s, t, row in zip(stamps, spelled(values.tolist()), rows, strict=True) if row < 0]
    found = [f"{s}{_histogram(pool, row)}]" for s, row in zip(stamps, rows, strict=True) if row >= 0]
    listed = f'"values":[{",".join(numbers)}],' if numbers else ""
    return f'{{"metric":{metric},{listed}"histograms":[{",".join(found)}]}}'


def _metrics(labels: Labels, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the labels of some series as JSON objects with sorted names."""
    names = sorted(labels.columns)
    heads = [f"{quoted(name)}:" for name in names]
    columns = [labels.columns[name][rows].tolist() for name in names]
    return [
        "{" + ",".join([head + quoted(text) for head, text in zip(heads, texts, strict=True) if text]) + "}"
        for texts in (zip(*columns, strict=True) if columns else [()] * len(rows))
    ]


def _float(ms: int) -> str:
    """Return an instant as Go writes a float, without zeros at its end."""
    text = seconds(ms)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _data(kind: str, items: Sequence[str]) -> str:
    """Return the data of an answer; scalars and strings are one item that is a pair."""
    return f'{{"resultType":"{kind}","result":[{",".join(items)}]}}'
