"""Attributes of rows to columns: values are collected per name and become one typed column each.

A column is `Int64`, `float64`, `boolean` where all its values are alike (whole and broken numbers together are
`float64`), else text of dtype `str`; lists and maps are JSON text; a missing value is `<NA>` or NaN. A name that is
taken by the shape (`time`, `service`, ...) gets a trailing underscore, as does that name with underscores already. Only
the most frequent names become columns, at most `intake.max_columns`; what is left over is JSON text in the column
`attributes`.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workbench.sources.source import ReadOptions

__all__ = [
    "OVERFLOW",
    "AttributeColumns",
    "arrow_column",
    "choice_column",
    "column_name",
    "hex_column",
    "json_text",
    "plain_value",
    "text_column",
    "to_text",
    "typed_column",
]

OVERFLOW = "attributes"
"""Column of the attributes that got no column of their own, as a JSON object."""

_STR: Any = pd.StringDtype("pyarrow", na_value=np.nan)
_EXACT = 2**53


class _Slot(NamedTuple):
    rows: list[int]
    values: list[Any]


def column_name(name: str, taken: Iterable[str]) -> str:
    """Return the column of an attribute: its own name, with one more underscore where that name is taken."""
    stem = name.rstrip("_")
    return name + "_" if stem == OVERFLOW or stem in taken else name


def plain_value(value: Any) -> Any:
    """Return an OTLP AnyValue as str, int, float, bool; a list or map as JSON text, bytes as base64, unset as None."""
    text = value.string_value
    if text:
        return text
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which in ("array_value", "kvlist_value"):
        return json_text(_nested(value))
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return getattr(value, which)


def _nested(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_nested(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: _nested(item.value) for item in value.kvlist_value.values}
    return _finite(plain_value(value))


def _finite(value: Any) -> Any:
    """Return the value, floats that JSON cannot write as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any) -> str:
    """Return compact JSON text, other characters than ASCII kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_text(value: Any) -> str:
    """Return one attribute value as label text: `true`, `200`, `0.5`, text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _arrow_text(values: Sequence[str | None]) -> Any:
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError:  # lone surrogates, which JSON can spell
        return pa.array(
            [v if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values], pa.large_string()
        )


def text_column(values: Sequence[str | None] | Any, cap: int | None, skips: Counter[str], what: str) -> pd.Series:
    """Return texts as a `str` column, each cut at `cap` characters, the cut ones counted as `what truncated`."""
    array = values if isinstance(values, pa.Array) else _arrow_text(values)
    if cap is not None and (pc.max(pc.binary_length(array)).as_py() or 0) > cap:
        cut = int(pc.sum(pc.greater(pc.utf8_length(array), cap)).as_py() or 0)
        if cut:
            skips[f"{what} truncated to intake.max_text_chars"] += cut
            array = pc.utf8_slice_codeunits(array, 0, cap)
    return arrow_column(array)


def arrow_column(array: Any) -> pd.Series:
    """Return an Arrow large_string array as a column of dtype `str`."""
    return pd.Series(_STR.__from_arrow__(array))


def choice_column(codes: npt.NDArray[np.int64], texts: Sequence[str | None]) -> pd.Series:
    """Return a `str` column of shape (n,) from positions in a short list of texts."""
    return arrow_column(pa.array(texts, pa.large_string()).take(pa.array(codes)))


def hex_column(ids: Sequence[bytes], size: int) -> tuple[pd.Series, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return ids as lower-case hex text and two masks of shape (n,): which are absent, which have a wrong length.

    An id is absent when it is empty or all zero; absent and wrong ones read "".
    """
    n = len(ids)
    lengths = np.fromiter(map(len, ids), np.int64, n)
    wrong = (lengths != size) & (lengths != 0)
    if (lengths != size).any():
        blank = bytes(size)
        ids = [i if len(i) == size else blank for i in ids]
    raw = b"".join(ids)
    absent = ~np.frombuffer(raw, np.uint8).reshape(n, size).any(axis=1) & ~wrong
    offsets = pa.py_buffer(np.arange(n + 1, dtype=np.int64) * (2 * size))
    array = pa.Array.from_buffers(pa.large_string(), n, [None, offsets, pa.py_buffer(raw.hex().encode("ascii"))])
    if (absent | wrong).any():
        array = pc.if_else(pa.array(absent | wrong), "", array)
    return arrow_column(array), absent, wrong


class AttributeColumns:
    """Values of named attributes, collected by name with the row each belongs to."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}

    def add(self, row: int, attributes: Any) -> None:
        """Add the OTLP key-values of one row; of a name given twice the last value counts."""
        slots = self._slots
        for item in attributes:
            value = plain_value(item.value)
            if value is None:
                continue
            slot = slots.get(item.key)
            if slot is None:
                slot = slots[item.key] = _Slot([], [])
            slot.rows.append(row)
            slot.values.append(value)

    def put(self, row: int, name: str, value: Any) -> None:
        """Add one value (str, int, float or bool) of one row."""
        slot = self._slots.setdefault(name, _Slot([], []))
        slot.rows.append(row)
        slot.values.append(value)

    def fill(self, start: int, stop: int, name: str, value: Any) -> None:
        """Give rows `start` to `stop` (exclusive) one value, unless they have one of their own already."""
        slot = self._slots.setdefault(name, _Slot([], []))
        own = set()
        for row in reversed(slot.rows):
            if row < start:
                break
            own.add(row)
        rows = [row for row in range(start, stop) if row not in own] if own else range(start, stop)
        slot.rows.extend(rows)
        slot.values.extend([value] * len(rows))

    def columns(self, n: int, taken: Iterable[str], options: ReadOptions, skips: Counter[str]) -> dict[str, pd.Series]:
        """Return the columns of n rows by name, `OVERFLOW` last where there are too many names."""
        taken, cap = set(taken), options.max_text_chars
        unnamed = self._slots.pop("", None)
        if unnamed is not None:
            skips["attribute without a name"] += len(unnamed.rows)
        names = list(self._slots)
        if len(names) > options.max_columns:
            names.sort(key=lambda name: -len(self._slots[name].rows))
        kept = {name: self._slots[name] for name in names[: options.max_columns]}
        found = {
            column_name(name, taken): typed_column(slot.values, slot.rows, n, cap, skips) for name, slot in kept.items()
        }
        if len(names) > len(kept):
            rest: dict[int, dict[str, Any]] = {}
            for name in names[len(kept) :]:
                for row, value in zip(*self._slots[name], strict=True):
                    rest.setdefault(row, {})[name] = _finite(value)
            texts = [json_text(item) for item in rest.values()]
            found[OVERFLOW] = typed_column(texts, list(rest), n, None, skips)
        return found

    def frame(self, n: int, limit: int, skips: Counter[str]) -> pd.DataFrame:
        """Return all columns of n rows under their own names, uncut; names beyond `limit` are left out and counted."""
        names = list(self._slots)
        if len(names) > limit:
            skips["column beyond the most a table may have"] += len(names) - limit
        kept = {name: self._slots[name] for name in names[:limit]}
        columns = {name: typed_column(slot.values, slot.rows, n, None, skips) for name, slot in kept.items()}
        return pd.DataFrame(columns, index=pd.RangeIndex(n))


def typed_column(values: list[Any], rows: Sequence[int], n: int, cap: int | None, skips: Counter[str]) -> pd.Series:
    """Return a column of n rows that holds `values` at `rows` and is missing elsewhere; texts are cut at `cap`."""
    where = np.asarray(rows, np.int64)
    kinds = set(map(type, values))
    if kinds == {bool}:
        flags = np.zeros(n, bool)
        flags[where] = values
        return pd.Series(pd.arrays.BooleanArray(flags, _missing(where, n)))
    if kinds == {int}:
        numbers = np.zeros(n, np.int64)
        numbers[where] = values
        return pd.Series(pd.arrays.IntegerArray(numbers, _missing(where, n)))
    if kinds == {float} or (kinds == {int, float} and all(abs(v) <= _EXACT for v in values if type(v) is int)):
        floats = np.full(n, np.nan)
        floats[where] = values
        return pd.Series(floats)
    texts = values if kinds == {str} else [to_text(value) for value in values]
    array = _arrow_text(texts)
    if len(where) != n or not np.array_equal(where, np.arange(n)):
        index = np.zeros(n, np.int64)
        index[where] = np.arange(len(where))
        array = array.take(pa.array(index, mask=_missing(where, n)))
    return text_column(array, cap, skips, "attribute")


def _missing(where: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.bool_]:
    mask = np.ones(n, bool)
    mask[where] = False
    return mask
