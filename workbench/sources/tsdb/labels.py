"""Labels of many series as codes into two lists of texts, made into a label table without touching a series in Python."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.signals.names import from_prometheus
from workbench.sources.attributes import OVERFLOW
from workbench.sources.columns import str_column
from workbench.sources.values import json_text

__all__ = ["LabelTable", "ragged", "read_texts"]

_Ints = npt.NDArray[np.int64]


def ragged(offsets: _Ints, rows: _Ints) -> tuple[_Ints, _Ints]:
    """Return where the entries of some rows lie in a ragged array, row after row, and the offsets of what was taken."""
    counts = offsets[rows + 1] - offsets[rows]
    taken = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.arange(taken[-1]) + np.repeat(offsets[rows] - taken[:-1], counts), taken


def read_texts(data: npt.NDArray[np.uint8], begin: _Ints, size: _Ints, cap: int, skips: Counter[str]) -> Any:
    """Return texts that lie in some bytes as an Arrow array.

    Parameters
    ----------
    data : ndarray of uint8
    begin, size : ndarray of int64, shape (n,)
        First byte and length of each.
    cap : int
        Longer ones are cut there, and counted.
    skips : Counter
        Also counts texts that are not UTF-8; the offending bytes are replaced.
    """
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    where = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], size)
    packed = data[where]
    array = pa.Array.from_buffers(
        pa.large_string(), len(begin), [None, pa.py_buffer(offsets), pa.py_buffer(packed)], null_count=0
    )
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raw = packed.tobytes()
        pieces = [raw[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets.tolist())]
        skips["label text that is not UTF-8 replaced"] += sum("\ufffd" in piece for piece in pieces)
        array = pa.array(pieces, pa.large_string())
    if len(size) and int(size.max()) > cap:
        long = int(pc.sum(pc.greater(pc.utf8_length(array), cap)).as_py() or 0)
        if long:
            skips["label text truncated to intake.max_text_chars"] += long
            array = pc.utf8_slice_codeunits(array, 0, cap)
    return array


@dataclass(frozen=True)
class LabelTable:
    """Labels of n series, l in all.

    Attributes
    ----------
    names : list of str
        As arrays name them: `metric` for `__name__`.
    values : Arrow array of text
        Distinct ones.
    empty : int
        Which value is "".
    offsets : ndarray of int64, shape (n + 1,)
        Series i has labels `offsets[i]` to `offsets[i + 1]`.
    name, value : ndarray of int64, shape (l,)
        Which name and which value.
    """

    names: list[str]
    values: Any
    empty: int
    offsets: _Ints
    name: _Ints
    value: _Ints

    @classmethod
    def build(cls, texts: Any, counts: _Ints, name: _Ints, value: _Ints) -> LabelTable:
        """Return a table from texts, equal ones among them, and places of names and values in them.

        Parameters
        ----------
        texts : Arrow array of text
        counts : ndarray of int64, shape (n,)
            How many labels each series has.
        name, value : ndarray of int64, shape (l,)
        """
        coded = pa.concat_arrays([texts, pa.array([""], pa.large_string())]).dictionary_encode()
        code = coded.indices.to_numpy().astype(np.int64)
        used, which = np.unique(code[name], return_inverse=True)
        spelled = [from_prometheus(text) for text in coded.dictionary.take(pa.array(used)).to_pylist()]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(spelled, coded.dictionary, int(code[-1]), offsets, which.astype(np.int64), code[value])

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.offsets) - 1

    def frame(self, rows: _Ints, most: int) -> tuple[pd.DataFrame, bool]:
        """Return the labels of some series, one column for each name, and whether any two are equal.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
        most : int
            Most columns; the labels beyond, the rarest, are one JSON object for each series in one column more.

        Returns
        -------
        DataFrame of str, shape (r, k)
            Sorted names, `metric` always; "" where a label is absent.
        """
        where, offsets = ragged(self.offsets, rows)
        name, value = self.name[where], self.value[where]
        series = np.repeat(np.arange(len(rows)), np.diff(offsets))
        kept = value != self.empty
        name, value, series = name[kept], value[kept], series[kept]
        order = np.argsort(name, kind="stable")
        used, first = np.unique(name[order], return_index=True)
        parts = dict(zip(used.tolist(), np.split(order, first)[1:], strict=True))
        spare = [] if len(parts) <= most else sorted(parts, key=lambda n: len(parts[n]))[: len(parts) - most + 1]
        rest = {n: parts.pop(n) for n in spare if self.names[n] != "metric"}
        codes = {"metric": np.full(len(rows), self.empty)}
        for number, at in parts.items():
            column = codes.setdefault(self.names[number], np.full(len(rows), self.empty))
            column[series[at]] = value[at]
        equal = not rest and bool(pd.DataFrame(codes).duplicated().any())
        columns = {n: str_column(self.values.take(pa.array(codes[n]))) for n in sorted(codes)}
        if rest:
            columns[OVERFLOW] = str_column(pa.array(self._rest(rest, series, value, len(rows)), pa.large_string()))
        return pd.DataFrame(columns), equal or bool(rest)

    def _rest(self, parts: dict[int, _Ints], series: _Ints, value: _Ints, n: int) -> list[str]:
        found: list[dict[str, str]] = [{} for _ in range(n)]
        for number, at in sorted(parts.items(), key=lambda item: self.names[item[0]]):
            for row, text in zip(series[at].tolist(), self.values.take(pa.array(value[at])).to_pylist(), strict=True):
                found[row][self.names[number]] = text
        return [json_text(labels) if labels else "" for labels in found]

    def first_equal(self) -> _Ints:
        """Return for each series the first one with the same labels, int64 of shape (n,)."""
        n = len(self)
        series = np.repeat(np.arange(n), np.diff(self.offsets))
        kept = self.value != self.empty
        series, name, value = series[kept], self.name[kept], self.value[kept]
        order = np.lexsort((name, series))
        label = np.unique(name[order] * (len(self.values) + 1) + value[order], return_inverse=True)[1]
        counts = np.bincount(series, minlength=n)
        first = np.cumsum(counts) - counts
        group = counts.copy()
        open_, k = np.arange(n), 0
        while True:  # groups of equal size, then of equal first label, then of equal first two, ...
            sizes = np.bincount(group[open_]) if len(open_) else counts
            open_ = open_[(sizes[group[open_]] > 1) & (counts[open_] > k)]
            if not len(open_):
                break
            pairs = group[open_] * (len(label) + 1) + label[first[open_] + k]
            group[open_] = n + 1 + np.unique(pairs, return_inverse=True)[1] + group.max()
            group, k = np.unique(group, return_inverse=True)[1].astype(np.int64), k + 1
        _, earliest, which = np.unique(group, return_index=True, return_inverse=True)
        return earliest[which].astype(np.int64)

    def describe(self, row: int) -> str:
        """Return one series as Prometheus writes it, for messages, at most 200 characters."""
        frame, _ = self.frame(np.array([row]), 10_000)
        labels = {str(name): str(text) for name, text in frame.iloc[0].items() if text}
        metric = labels.pop("metric", "")
        inner = ", ".join(f"{name}={json_text(text)}" for name, text in labels.items())
        text = f"{metric}{{{inner}}}" if inner or not metric else metric
        return text if len(text) <= 200 else text[:199] + "…"
