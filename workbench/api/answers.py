"""What queries give, spelled as Prometheus spells it: vector, matrix, scalar or string, as text made once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.api.numbers import plain, seconds, spelled
from workbench.query.promql import Answer
from workbench.query.promql.values import Labels, Scalar, Text, Vector

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
    rows = order[_present(value)[order, 0]]
    texts = spelled(value.values[rows, 0].tolist())
    stamp = seconds(at)
    items = zip(_metrics(value.labels, rows), texts, strict=True)
    return _data("vector", [f'{{"metric":{metric},"value":[{stamp},"{text}"]}}' for metric, text in items])


def range_answer(answer: Answer) -> str:
    """Return what a query gives at every step; a scalar is a series without labels."""
    value = answer.value
    stamps = [f"[{seconds(ms)}," for ms in (answer.steps // 10**6).tolist()]
    if isinstance(value, Scalar):
        return _data("matrix", [_series("{}", stamps, spelled(value.values.tolist()))])
    if not isinstance(value, Vector):
        raise TypeError("a range query gives a vector or a scalar")
    present = _present(value)
    rows = value.labels.order()
    some: _Bools = np.any(present, axis=1)
    rows = rows[some[rows]]
    found = []
    for metric, row in zip(_metrics(value.labels, rows), rows.tolist(), strict=True):
        at = np.flatnonzero(present[row])
        found.append(_series(metric, [stamps[i] for i in at.tolist()], spelled(value.values[row, at].tolist())))
    return _data("matrix", found)


def _present(value: Vector) -> _Bools:
    """Return which values are there and numbers."""
    rows = getattr(value, "rows", None)
    numbers: _Bools = value.present if rows is None else np.logical_and(value.present, rows < 0)
    return numbers


def _windows(value: Any) -> list[str]:
    """Return the samples of the window of every series of a range vector."""
    found = []
    order = value.labels.order()
    for metric, row in zip(_metrics(value.labels, order), order.tolist(), strict=True):
        own = slice(int(value.low[row, 0]), int(value.high[row, 0]))
        if own.stop > own.start:
            stamps = [f"[{seconds(ms)}," for ms in (value.time[own] // 10**6).tolist()]
            found.append(_series(metric, stamps, spelled(value.value[own].tolist())))
    return found


def _series(metric: str, stamps: Iterable[str], texts: Iterable[str]) -> str:
    pairs = ",".join([f'{stamp}"{text}"]' for stamp, text in zip(stamps, texts, strict=True)])
    return f'{{"metric":{metric},"values":[{pairs}]}}'


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
