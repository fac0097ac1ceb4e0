"""Label tables met before, told by what they hold: what was found out about one is true of every equal one.

A scraper brings the same thousand label sets every few seconds, often as a new table. Comparing Arrow columns costs
microseconds where hashing their texts again costs hundreds. Arrow's buffers cannot change, so a table that was changed
in place is made of other arrays and is another table.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Table", "Texts", "table_of"]

_ARROW = pd.arrays.ArrowStringArray
_MOST = 512
_MOST_BYTES = 32 * 2**20
_MOST_ROWS = 500_000

_Columns = tuple[Any, ...]


class Table:
    """What stands for every label table with equal columns in the same order; compared by identity.

    Attributes
    ----------
    sound : bool
        Whether its rows were found to be all different, and to have the label `metric`.
    kinds : Texts or None
        Kinds of its series that were found to be allowed ones.
    """

    __slots__ = ("__weakref__", "_bytes", "_columns", "kinds", "sound")

    def __init__(self, columns: _Columns) -> None:
        self._columns = columns
        self._bytes = sum(column.get_total_buffer_size() for column in columns)
        self.sound = False
        self.kinds: Texts | None = None


class Texts:
    """The texts of an array of Python objects, kept to be recognised in another array."""

    __slots__ = ("_addresses", "_texts")

    def __init__(self, given: npt.NDArray[np.object_]) -> None:
        self._texts = given.tolist()  # kept alive, so their addresses stay theirs
        self._addresses = given.tobytes()

    def are(self, given: npt.NDArray[np.object_]) -> bool:
        """Return whether an array of objects holds equal texts."""
        return given.tobytes() == self._addresses or given.tolist() == self._texts


# Several threads may be here, and a fork may come at any time: no lock, each step on these is atomic.
_tables: dict[tuple[Any, ...], Table] = {}  # by length, names and last row
_seen: dict[tuple[int, ...], tuple[tuple[weakref.ref[Any], ...], Table]] = {}  # by the addresses of the columns


def _columns(labels: pd.DataFrame) -> _Columns:
    """Return the names and the columns of a label table as Arrow arrays, nothing when one is of another kind.

    The public ways make a Series of each column and a text of each name, 10 us a piece.
    """
    inside = getattr(labels, "_mgr", None)
    if inside is None or type(labels.columns) is not pd.Index:
        return ()
    blocks = inside.arrays
    found = [labels.columns.array, *(blocks[number] for number in inside.blknos.tolist())]
    for array in found:
        if type(array) is not _ARROW:
            return ()
    return tuple([array.__arrow_array__() for array in found])


def table_of(labels: pd.DataFrame) -> Table | None:
    """Return what stands for a label table and all equal ones, None for one whose content cannot be told cheaply.

    Those are empty tables, very large ones, and those with a column or a name that is not text held by Arrow. A table that has
    not been met for long is met as a new one.
    """
    n = len(labels)
    columns = _columns(labels) if 0 < n <= _MOST_ROWS else ()
    if not columns:
        return None
    place = tuple(map(id, columns))
    seen = _seen.get(place)
    if seen is not None:
        for ref, column in zip(seen[0], columns, strict=True):
            if ref() is not column:
                break
        else:
            return seen[1]
    names, *values = columns
    return _met(place, (n, *names.to_pylist(), *(column[n - 1].as_py() for column in values)), columns)


def _met(place: tuple[int, ...], key: tuple[Any, ...], columns: _Columns) -> Table:
    """Return the table of columns that are not the very arrays of one met before, though they may be equal to them."""
    found = _tables.get(key)
    if found is None or not all(a.equals(b) for a, b in zip(found._columns, columns, strict=True)):
        found = Table(columns)
        held = sum(table._bytes for table in list(_tables.values()))
        if len(_tables) >= _MOST or held + found._bytes > _MOST_BYTES:
            _tables.clear()
        _tables[key] = found
    if len(_seen) >= _MOST:
        _seen.clear()
    _seen[place] = tuple(map(weakref.ref, columns)), found
    return found
