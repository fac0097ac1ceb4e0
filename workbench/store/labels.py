"""Label sets as columns: per label name the distinct values, sorted, and one code per set.

A set without a label has code 0 there, which also stands for the empty text. Text that UTF-8 cannot hold (a lone
surrogate) is written out. Columns of a frame, of JSON objects and of other columns are made here, all by array.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "BLANK", "Column", "arrow_of", "canonical", "columns_of_frame", "columns_of_sets", "distinct", "joined", "places_of",
    "smallest", "sorted_column", "texts_of", "utf8",
]  # fmt: skip

Codes = npt.NDArray[np.integer[Any]]

BLANK = pa.array([""], pa.large_string())
"""What code 0 stands for."""

_NONE = pa.array([], pa.large_string())


def utf8(text: object) -> str:
    """Return text that UTF-8 can hold: a lone surrogate is written out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def smallest(n: int) -> type[np.unsignedinteger[Any]]:
    """Return the unsigned type that holds the codes of `n` values and 0."""
    return np.uint8 if n < 2**8 else np.uint16 if n < 2**16 else np.uint32


def texts_of(values: Iterable[object]) -> Any:
    """Return Arrow text of values that are truthy, in the form they are stored in; "" for the others."""
    return pa.array([utf8(v) if v else "" for v in values], pa.large_string())


def canonical(labels: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return one JSON object per row of a label table, names sorted, empty labels left out; str objects, shape (n,)."""
    text = np.full(len(labels), "", object)
    for name in sorted(map(str, labels.columns)):
        codes, distinct = pd.factorize(labels[name].to_numpy(dtype=object))
        key = json.dumps(utf8(name))
        pieces = np.array([f",{key}:{json.dumps(utf8(v))}" if v else "" for v in distinct] + [""], dtype=object)
        text = text + pieces[codes]
    return np.array(["{" + t[1:] + "}" for t in text.tolist()], dtype=object)


@dataclass(frozen=True)
class Column:
    """One label of some label sets.

    Attributes
    ----------
    values : pyarrow.LargeStringArray, length v
        Distinct, sorted by code point, none empty.
    codes : ndarray of unsigned int, shape (n,)
        0 where the label is absent, else 1 + the place in `values`.
    """

    values: Any
    codes: Codes

    def take(self, rows: npt.NDArray[np.intp]) -> Column:
        """Return the label of some of the sets, with the values these use."""
        codes = self.codes[rows]
        used = np.zeros(len(self.values) + 1, bool)
        used[codes] = True
        used[0] = False
        kept = np.flatnonzero(used)
        rank = np.cumsum(used).astype(smallest(len(kept)))
        return Column(self.values.take(pa.array(kept - 1)), rank[codes])

    def texts(self) -> Any:
        """Return the value of every set as Arrow text, "" where absent."""
        return pa.concat_arrays([BLANK, self.values]).take(pa.array(self.codes))


def arrow_of(column: Any) -> Any:
    """Return an array of label values (pandas extension array or ndarray, shape (n,)) as Arrow text, "" or null where absent."""
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        array = pa.array(column)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        return array if pa.types.is_large_string(array.type) else array.cast(pa.large_string())
    places, found = pd.factorize(np.asarray(column, dtype=object))
    return pa.concat_arrays([texts_of(found), BLANK]).take(pa.array(places % (len(found) + 1)))


def distinct(texts: Any) -> tuple[Codes, Any]:
    """Return codes (0 of "" and nulls) and the distinct values, in the order they appear, of Arrow text."""
    places, values = places_of(texts)
    codes = places + 1
    blank = pc.index(values, "").as_py()
    if blank >= 0:
        left = np.arange(len(values)) != blank
        codes = np.append(0, np.where(left, np.cumsum(left), 0))[codes]
        values = values.filter(pa.array(left))
    return codes, values


def places_of(texts: Any) -> tuple[npt.NDArray[np.int32], Any]:
    """Return the place of each Arrow text (-1 of nulls) among the distinct ones, and those, "" perhaps among them."""
    coded = texts.dictionary_encode()
    places = coded.indices if not coded.indices.null_count else coded.indices.fill_null(-1)
    return places.to_numpy(), coded.dictionary


def sorted_column(codes: Codes, values: Any) -> Column:
    """Return the column of codes (0 where absent) and distinct values in any order."""
    order = pc.sort_indices(values).to_numpy()
    rank = np.zeros(len(order) + 1, smallest(len(order)))
    rank[order + 1] = np.arange(1, len(order) + 1)
    return Column(values.take(pa.array(order)), rank[codes])


def columns_of_frame(labels: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of a label table, by name; labels that no row has are left out."""
    found = {}
    for name in labels.columns:
        codes, values = distinct(arrow_of(labels[name].array))
        if len(values):
            found[utf8(name)] = sorted_column(codes, values)
    return found


def columns_of_sets(sets: Sequence[Mapping[str, str]]) -> dict[str, Column]:
    """Return the columns of label sets given as mappings, by name; empty labels are left out."""
    alike: dict[tuple[str, ...], list[int]] = {}  # most sets have the same names as many others
    for i, labels in enumerate(sets):
        alike.setdefault(tuple(labels), []).append(i)
    rows: dict[str, list[int]] = {}
    texts: dict[str, list[str]] = {}
    for names, members in alike.items():
        for name, values in zip(names, zip(*(sets[i].values() for i in members), strict=True), strict=True):
            rows.setdefault(name, []).extend(members)
            texts.setdefault(name, []).extend(values)
    found = {}
    for name, given in texts.items():
        codes, values = distinct(pa.array(given, pa.large_string()))
        if len(values):
            column = sorted_column(codes, values)
            whole = np.zeros(len(sets), column.codes.dtype)
            whole[rows[name]] = column.codes
            found[name] = Column(column.values, whole)
    return found


def joined(parts: Sequence[tuple[int, Column | None]]) -> Column:
    """Return one label of several groups of sets behind each other.

    Parameters
    ----------
    parts : sequence of (int, Column or None)
        How many sets, and their column; None where none of them has the label.
    """
    columns = [column for _, column in parts if column is not None]
    if len(parts) == 1 and columns:
        return columns[0]
    values = pc.unique(pa.concat_arrays([_NONE, *(c.values for c in columns)]))
    values = values.take(pc.sort_indices(values))
    codes = np.zeros(sum(n for n, _ in parts), smallest(len(values)))
    at = 0
    for n, column in parts:
        if column is not None:
            new = pc.index_in(column.values, value_set=values).to_numpy().astype(np.int64) + 1
            codes[at : at + n] = np.append(0, new)[column.codes]
        at += n
    return Column(values, codes)
