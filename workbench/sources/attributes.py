"""Attributes of rows to columns: values are collected per name and become one typed column each.

A column is `Int64`, `float64`, `boolean` where all its values are alike (whole and broken numbers together are
`float64`), else text of dtype `str`; lists and maps are JSON text; a missing value is `<NA>` or NaN. A name that is
taken by the shape (`time`, `service`, ...) gets a trailing underscore, as does that name with underscores already. Only
the most frequent names become columns, at most `intake.max_columns`; what is left over is JSON text in the column
`attributes`.

Telemetry repeats itself: of a hundred thousand attributes a few thousand are distinct. So attributes come in as the
bytes they were sent as, and only distinct ones are decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.sources.columns import choice_column
from workbench.sources.source import ReadOptions
from workbench.sources.values import finite, json_text, to_text

__all__ = ["OVERFLOW", "AttributeColumns", "column_name", "typed_column"]

OVERFLOW = "attributes"
"""Column of the attributes that got no column of their own, as a JSON object."""

_EXACT = 2**53

_Index: TypeAlias = npt.NDArray[np.int64]


class _Part(NamedTuple):
    """Some entries of one attribute: `values[places[i]]` belongs to row `rows[i]`."""

    values: list[Any]
    places: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def column_name(name: str, taken: Iterable[str]) -> str:
    """Return the column of an attribute: its own name, with one more underscore where that name is taken."""
    stem = name.rstrip("_")
    return name + "_" if stem == OVERFLOW or stem in taken else name


class AttributeColumns:
    """Values of named attributes with the row each belongs to.

    Where a row has several values of one name, one added by `extend` wins over one by `put`, that over one by `fill`,
    and a later one over an earlier one.

    Parameters
    ----------
    decode : callable, optional
        From the bytes of one attribute, as `extend` gets them, to its name and value; a value of None is no attribute.
    """

    def __init__(self, decode: Callable[[bytes], tuple[str, Any]] | None = None) -> None:
        self._decode = decode
        self._raw: list[bytes] = []
        self._ends: list[int] = []
        self._slots: dict[str, tuple[list[int], list[Any]]] = {}
        self._ranges: dict[str, list[tuple[int, int, Any]]] = {}

    def extend(self, attributes: Iterable[bytes]) -> None:
        """Add all attributes of the next row, as bytes; to be called once for every row, in order."""
        self._raw.extend(attributes)
        self._ends.append(len(self._raw))

    def put(self, row: int, name: str, value: Any) -> None:
        """Add one value (str, int, float or bool) of one row."""
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = ([], [])
        slot[0].append(row)
        slot[1].append(value)

    def fill(self, start: int, stop: int, name: str, value: Any) -> None:
        """Give rows `start` to `stop` (exclusive) one value, unless they have one of their own."""
        self._ranges.setdefault(name, []).append((start, stop, value))

    def _parts(self) -> dict[str, list[_Part]]:
        """Return the entries of every name, those that win last."""
        found: dict[str, list[_Part]] = {}
        for name, ranges in self._ranges.items():
            starts, lengths = np.array([r[0] for r in ranges]), np.array([r[1] - r[0] for r in ranges])
            index = np.repeat(np.arange(len(ranges)), lengths)
            rows = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
            found.setdefault(name, []).append(_Part([r[2] for r in ranges], index, rows))
        for name, (rows_list, values) in self._slots.items():
            found.setdefault(name, []).append(_Part(values, np.arange(len(values)), np.array(rows_list, np.int64)))
        for name, part in self._raw_parts():
            found.setdefault(name, []).append(part)
        return found

    def _raw_parts(self) -> Iterable[tuple[str, _Part]]:
        """Decode every distinct attribute once and yield its entries grouped by name."""
        if not self._raw or self._decode is None:
            return
        raw = np.empty(len(self._raw), object)
        raw[:] = self._raw
        codes, distinct = pd.factorize(raw)
        rows = np.repeat(np.arange(len(self._ends)), np.diff(self._ends, prepend=0))
        names: dict[str, int] = {}
        values: list[list[Any]] = []
        name_of, place_of = np.full(len(distinct), -1), np.zeros(len(distinct), np.int64)
        for i, item in enumerate(distinct.tolist()):
            name, value = self._decode(item)
            if value is not None:
                at = names.setdefault(name, len(names))
                if at == len(values):
                    values.append([])
                name_of[i], place_of[i] = at, len(values[at])
                values[at].append(value)
        of_entry = name_of[codes]
        order = np.argsort(of_entry, kind="stable")
        cuts = np.searchsorted(of_entry[order], np.arange(len(names) + 1)).tolist()
        places, rows = place_of[codes[order]], rows[order]
        for name, at in names.items():
            own = slice(cuts[at], cuts[at + 1])
            yield name, _Part(values[at], places[own], rows[own])

    def columns(self, n: int, taken: Iterable[str], options: ReadOptions, skips: Counter[str]) -> dict[str, pd.Series]:
        """Return the columns of n rows by name, `OVERFLOW` last where there are too many names."""
        taken, cap = set(taken), options.max_text_chars
        parts = self._parts()
        unnamed = parts.pop("", None)
        if unnamed is not None:
            skips["attribute without a name"] += sum(len(part.rows) for part in unnamed)
        names = list(parts)
        if len(names) > options.max_columns:
            names.sort(key=lambda name: -sum(len(part.rows) for part in parts[name]))
        found = {column_name(name, taken): _column(parts[name], n, cap, skips) for name in names[: options.max_columns]}
        if len(names) > options.max_columns:
            rest: dict[int, dict[str, Any]] = {}
            for name in names[options.max_columns :]:
                for part in parts[name]:
                    for place, row in zip(part.places.tolist(), part.rows.tolist(), strict=True):
                        rest.setdefault(row, {})[name] = finite(part.values[place])
            texts = [json_text(item) for item in rest.values()]
            found[OVERFLOW] = typed_column(texts, np.arange(len(texts)), np.array(list(rest)), n, None, skips)
        return found

    def frame(self, n: int, limit: int, skips: Counter[str]) -> pd.DataFrame:
        """Return all columns of n rows under their own names, uncut; names beyond `limit` are left out and counted."""
        parts = self._parts()
        names = list(parts)
        if len(names) > limit:
            skips["column beyond the most a table may have"] += len(names) - limit
        columns = {name: _column(parts[name], n, None, skips) for name in names[:limit]}
        return pd.DataFrame(columns, index=pd.RangeIndex(n))


def _column(parts: list[_Part], n: int, cap: int | None, skips: Counter[str]) -> pd.Series:
    if len(parts) == 1:
        return typed_column(parts[0].values, parts[0].places, parts[0].rows, n, cap, skips)
    shift = np.cumsum([0, *(len(part.values) for part in parts[:-1])])
    values = [value for part in parts for value in part.values]
    index = np.concatenate([part.places + s for part, s in zip(parts, shift.tolist(), strict=True)])
    return typed_column(values, index, np.concatenate([part.rows for part in parts]), n, cap, skips)


def typed_column(
    values: list[Any], index: _Index, rows: _Index, n: int, cap: int | None, skips: Counter[str]
) -> pd.Series:
    """Return a column of n rows that holds `values[index]` at `rows` and is missing elsewhere; texts are cut at `cap`.

    Of several entries of one row the last counts.
    """
    place = np.full(n, -1, np.int64)
    place[rows] = index
    missing = place < 0
    kinds = set(map(type, values))
    if kinds == {bool}:
        return pd.Series(pd.arrays.BooleanArray(np.array([*values, False], bool)[place], missing))
    if kinds == {int}:
        return pd.Series(pd.arrays.IntegerArray(np.array([*values, 0], np.int64)[place], missing))
    if kinds == {float} or (kinds == {int, float} and all(abs(v) <= _EXACT for v in values if type(v) is int)):
        return pd.Series(np.array([*values, np.nan], np.float64)[place])
    texts = values if kinds == {str} else [to_text(value) for value in values]
    if cap is None:
        return choice_column(place, texts)
    long = np.fromiter((len(text) > cap for text in texts), bool, len(texts))
    if long.any():
        skips["attribute truncated to intake.max_text_chars"] += int(long[place[~missing]].sum())
        texts = [text[:cap] for text in texts]
    return choice_column(place, texts)
