"""Registering: label sets that a process does not know are looked for exactly, and numbered when they are new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import StoreError
from workbench.store.catalog import Catalog, Transaction
from workbench.store.label_find import find, said_of
from workbench.store.label_fold import fold
from workbench.store.label_known import Keyring
from workbench.store.label_rows import Pantry, claim, read_rows
from workbench.store.label_sources import admit
from workbench.store.label_state import Sets, State, recent_crc, recent_row
from workbench.store.labels import Column, canonical, columns_of_frame, distinct, sorted_column, texts_of, utf8

if TYPE_CHECKING:
    from workbench.store.series import SeriesIndex

__all__ = ["FEW", "Given", "register"]

_Ints = npt.NDArray[np.int64]
_Objects = npt.NDArray[np.object_]
_Bools = npt.NDArray[np.bool_]

FEW = 256
"""So many rows of `recent` may be there; more are folded at once."""

_LAZY = 3


@dataclass(frozen=True)
class Given:
    """Distinct label sets in the order they were given, with the last kind and unit that was said of each.

    Attributes
    ----------
    labels : DataFrame, m rows
    sets : Sets, m sets
    keys : ndarray of uint64, shape (m,)
        The first lane of their keys.
    kind, unit : ndarray of str objects, shape (m,)
        "unknown" and "" where nothing was said.
    place : ndarray of int64, shape (n,)
        Which of the sets each row was that had been given.
    """

    labels: pd.DataFrame
    sets: Sets
    keys: npt.NDArray[np.uint64]
    kind: _Objects
    unit: _Objects
    place: _Ints

    @classmethod
    def of(cls, labels: pd.DataFrame, keys: npt.NDArray[np.uint64], kind: _Objects, unit: _Objects) -> Given:
        """Return the sets of a table; rows with equal `keys`, shape (2, n), are the same set."""
        whole = np.ascontiguousarray(keys.T).view("V16").ravel()
        _, first, place = np.unique(whole, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.argsort(order)[place]
        labels = labels.iloc[first[order]]
        kinds, units = np.full(len(order), "unknown", object), np.full(len(order), "", object)
        for out, said, nothing in ((kinds, kind, "unknown"), (units, unit, "")):
            rows = np.flatnonzero(said != nothing)
            out[place[rows]] = said[rows]  # of several that were said the last one stays
        sets = Sets(len(order), columns_of_frame(labels), (_column(kinds), _column(units)))
        return cls(labels, sets, keys[0][first[order]], kinds, units, place)


def _column(texts: _Objects) -> Column:
    places, found = pd.factorize(texts)
    codes, values = distinct(texts_of(found))
    return sorted_column(codes[places], values)


def register(
    catalog: Catalog, index: SeriesIndex, keyring: Keyring, given: Given, source: str | None, limit: int | None
) -> _Ints:
    """Return the number of every row that was given; -1 for new series beyond the source's limit.

    What is known to all already costs no write transaction.

    Raises
    ------
    StoreError
        As `SeriesWriter.resolve`.
    """
    with catalog.read() as connection:
        index.refresh(connection)

    def look(state: State, pantry: Pantry) -> tuple[State, _Ints, bool]:
        ids = find(state.parts(pantry), given.sets.columns, given.keys, keyring, pantry)
        return state, ids, bool(_corrections(state, pantry, given, ids)[0].any())

    state, ids, wrong = index.ask(look)
    if wrong or not ids.all():
        with catalog.write() as connection:
            ids = _write(connection, index, keyring, given, (state, ids), source, limit)
    return ids[given.place]


def _corrections(state: State, pantry: Pantry, given: Given, ids: _Ints) -> tuple[_Bools, _Objects, _Objects]:
    """Return which known series something new was said of, and what is true of all of them now."""
    known = np.flatnonzero(ids)
    wrong, kind, unit = np.zeros(len(ids), bool), given.kind.copy(), given.unit.copy()
    old = said_of(state.parts(pantry), ids[known], state.learned)
    for said, before, nothing in ((kind, old[0], "unknown"), (unit, old[1], "")):
        new = said[known]
        said[known] = np.where(new == nothing, before, new)
        wrong[known] |= said[known] != before
    return wrong, kind, unit


def _write(
    connection: Transaction,
    index: SeriesIndex,
    keyring: Keyring,
    given: Given,
    seen: tuple[State, _Ints],
    source: str | None,
    limit: int | None,
) -> _Ints:
    """Register what still is new when nobody else can write, and return the numbers of all sets."""
    state, (before, ids) = index.refresh(connection), seen
    pantry = Pantry(lambda numbers, what: read_rows(connection, numbers, what), index.shelf)
    missing = np.flatnonzero(ids == 0)
    if state is not before and len(missing):
        ids[missing] = find(state.parts(pantry), given.sets.take(missing).columns, given.keys[missing], keyring, pantry)
    wrong, kind, unit = _corrections(state, pantry, given, ids)
    new = np.flatnonzero(ids == 0)
    if source is not None and limit is not None and len(new):
        allowed = admit(connection, source, limit, len(new))
        ids[new[allowed:]] = -1
        new = new[:allowed]
    ids[new] = state.size + 1 + np.arange(len(new))
    if wrong.any():
        _correct(connection, state, ids[wrong], kind[wrong].tolist(), unit[wrong].tolist())
    rows = state.size - state.folded + len(state.learned) + int(wrong.sum()) + len(new)
    if rows > FEW:
        fold(connection, given.sets.take(new), factor=_LAZY)
    elif len(new):
        texts = canonical(given.labels.iloc[new]).tolist()
        about = zip(map(utf8, given.kind[new]), map(utf8, given.unit[new]), strict=True)
        _insert(connection, [recent_row(int(n), t, *a) for n, t, a in zip(ids[new], texts, about, strict=True)])
        claim(connection, "series", len(new))
    return ids


def _insert(connection: Transaction, rows: Sequence[tuple[int, str, int]]) -> None:
    connection.executemany(
        "INSERT INTO recent (id, text, crc32) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET text = excluded.text, crc32 = excluded.crc32",
        rows,
    )


def _correct(connection: Transaction, state: State, ids: _Ints, kind: Sequence[str], unit: Sequence[str]) -> None:
    """Write what is newly known of series; a folded one gets a row of its own for it."""
    rows = []
    for number, *about in zip(ids.tolist(), map(utf8, kind), map(utf8, unit), strict=True):
        labels = None
        if number > state.folded:
            query = "SELECT text, crc32 FROM recent WHERE id = ?"
            text, crc32 = connection.execute(query, (number,)).fetchone()
            if recent_crc(number, text) != crc32:
                raise StoreError(f"the label index is damaged where it holds series {number}: restore the catalog.")
            labels = json.loads(text)[0]
        rows.append(recent_row(number, json.dumps(labels, separators=(",", ":")), *about))
    _insert(connection, rows)
    claim(connection, "series_changed", 1)
