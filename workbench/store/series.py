"""Series and their labels: which label sets exist, what number each has, and which match a selection.

Series are numbered from 1 in the order they were registered. New ones are rows of JSON; folding turns them into
compressed columns, of which a process reads what a question needs when it is asked. The files beside this one, from
below: `labels.py`, `label_rows.py`, `label_pack.py`, `label_block.py`, `label_state.py`, `label_find.py`,
`label_fold.py`, `label_register.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench import settings
from workbench.errors import StoreError
from workbench.signals import Matcher
from workbench.signals.tables import table_of
from workbench.store import label_find
from workbench.store.catalog import Catalog, Transaction
from workbench.store.label_fold import fold
from workbench.store.label_known import Keyring, Known, Tables
from workbench.store.label_register import Given, register
from workbench.store.label_rows import Moved, Pantry, Shelf, read_rows
from workbench.store.label_sources import cardinality
from workbench.store.label_state import State, counters, read_state
from workbench.store.label_upgrade import upgrade_series
from workbench.store.label_verify import verify_series
from workbench.store.labels import canonical

__all__ = [
    "SeriesIndex", "SeriesWriter", "canonical", "cardinality", "count_series", "fold", "upgrade_series", "verify_series",
]  # fmt: skip

_Ints = npt.NDArray[np.int64]
_Objects = npt.NDArray[np.object_]
_T = TypeVar("_T")


def count_series(transaction: Transaction) -> int:
    """Return how many series there are."""
    return counters(transaction)[0]


class SeriesIndex:
    """The labels of all series as one process sees them.

    `refresh` takes note of what is there; what a question needs is read when it is asked, and kept up to a number of
    bytes. Any thread may ask, but not from inside a transaction of the same catalog.

    Parameters
    ----------
    catalog : Catalog, optional
        Without one, `refresh` reads everything.
    """

    def __init__(self, catalog: Catalog | None = None) -> None:
        self._catalog = catalog
        self._state = State()
        self._lock = threading.RLock()  # never held while waiting for the catalog
        self._rows: dict[int, bytes] = {}
        self._shelf = Shelf()

    @property
    def size(self) -> int:
        """How many series there are; their numbers are 1 to `size`."""
        return self._state.size

    @property
    def shelf(self) -> Shelf:
        """What was read and made so far."""
        return self._shelf

    def refresh(self, connection: Transaction) -> State:
        """Take note of series that were added, folded or corrected since the last call.

        Parameters
        ----------
        connection : Transaction
            One that has not changed series itself: what it sees must be true for good.

        Raises
        ------
        StoreError
            If a row of the label index is damaged or missing.
        """
        with self._lock:
            state = read_state(connection, self._state)
            if state is not self._state and self._catalog is None:
                numbers = [n for block in state.blocks for n in block.rows()]
                self._rows = read_rows(connection, numbers, "labels")
            self._state = state
            return state

    @contextmanager
    def _session(self) -> Iterator[Pantry]:
        """Give the rows of one snapshot, which begins when the first is wanted."""
        with ExitStack() as stack:
            opened: list[Transaction] = []

            def rows(numbers: Sequence[int], what: str) -> dict[int, bytes]:
                if self._catalog is None:
                    return {number: self._rows[number] for number in numbers}
                if not opened:
                    opened.append(stack.enter_context(self._catalog.read()))
                return read_rows(opened[0], numbers, what)

            yield Pantry(rows, self._shelf)

    def ask(self, work: Callable[[State, Pantry], _T]) -> _T:
        """Return what `work` makes of the present state; when blocks have been folded meanwhile, of a newer one."""
        for _ in range(20):
            state = self._state
            try:
                with self._session() as pantry:
                    return work(state, pantry)
            except Moved as moved:
                said = str(moved)
            if self._catalog is None:
                break
            with self._catalog.read() as connection:
                if self.refresh(connection) is state:
                    break
        raise StoreError(said)

    def match(self, matchers: Sequence[Matcher]) -> _Ints:
        """Return the sorted numbers of the series that satisfy every matcher.

        Each matcher is asked about the distinct values of its label only, the absent one ("") among them.

        Raises
        ------
        StoreError
            If a row that is needed is damaged; the message names the label.
        """
        return self.ask(lambda state, pantry: label_find.match(state.parts(pantry), matchers))

    def frame(self, ids: _Ints) -> pd.DataFrame:
        """Return the labels of some series: sorted names that any of them has (`metric` always), "" where absent."""
        return self.ask(lambda state, pantry: label_find.frame(state.parts(pantry), ids))

    def objects(self, ids: _Ints) -> dict[str, _Objects]:
        """Return what `frame` returns, as arrays of str objects by name."""
        return self.ask(lambda state, pantry: label_find.objects(state.parts(pantry), ids))

    def describe(self, ids: _Ints) -> tuple[_Objects, _Objects]:
        """Return kind and unit of some series."""
        return self.ask(lambda state, pantry: label_find.said_of(state.parts(pantry), ids, state.learned))

    def texts(self, ids: _Ints) -> list[str]:
        """Return the canonical JSON of some series."""
        return [str(text) for text in canonical(self.frame(ids))]


class SeriesWriter:
    """Turns label sets into series numbers, registering new ones; remembers what it has seen.

    Parameters
    ----------
    catalog : Catalog
    index : SeriesIndex, optional
        Of the same catalog; shared, it is read and kept only once.
    """

    def __init__(self, catalog: Catalog, index: SeriesIndex | None = None) -> None:
        self._catalog = catalog
        self._index = index or SeriesIndex(catalog)
        self._tables = Tables()
        self._keyring = Keyring()
        self._known = Known()
        self._lock = threading.Lock()

    def resolve(
        self,
        labels: pd.DataFrame,
        kind: _Objects,
        unit: _Objects,
        *,
        source: str | None = None,
        limit: int | None = None,
    ) -> tuple[_Ints, npt.NDArray[np.bool_]]:
        """Return the number of every series; new ones are durable before this returns.

        Parameters
        ----------
        labels : DataFrame, n rows
            Text; "" and missing values mean that a series does not have the label.
        kind, unit : ndarray of str objects, shape (n,)
            What is not "unknown", and not "", replaces what was known of a series.
        source : str, optional
            Who brings the series; without one there is no limit.
        limit : int, optional
            How many series the source may have registered in all; from the settings by default.

        Returns
        -------
        ids : ndarray of int64, shape (n,)
            -1 for a new series of a source that has reached its limit.
        kept : ndarray of bool, shape (n,)
            Which have a number.

        Raises
        ------
        StoreError
            If the store is read-only, the disk is full, or the catalog is damaged.
        """
        table = table_of(labels)
        with self._lock:
            ids = self._tables.get(table, kind, unit)
        if ids is None:
            ids = self._resolve(labels, kind, unit, source, limit)
            if (ids > 0).all():
                with self._lock:
                    self._tables.add(table, kind, unit, ids)
        return ids, ids > 0

    def _resolve(
        self, labels: pd.DataFrame, kind: _Objects, unit: _Objects, source: str | None, limit: int | None
    ) -> _Ints:
        with self._lock:
            sets = self._keyring.labels(labels)
            keys = sets + self._keyring.about(kind, unit)
            ids = self._known.get(keys)
        missing = np.flatnonzero(ids == 0)
        if len(missing):
            if source is not None and limit is None:
                limit = int(settings.load()["store.max_series_per_source"])
            some = labels if len(missing) == len(labels) else labels.iloc[missing]
            given = Given.of(some, sets[:, missing], kind[missing], unit[missing])
            ids[missing] = register(self._catalog, self._index, self._keyring, given, source, limit)
            missing = missing[ids[missing] > 0]
        with self._lock:
            first = missing[np.unique(keys[0][missing], return_index=True)[1]]
            self._known.add(keys[:, first], ids[first])
        return ids
