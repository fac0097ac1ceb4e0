"""What a writing process remembers of series it has resolved: whole label tables, and single label sets by a 128-bit key.

A key is a sum over the labels, in two lanes: a SipHash of the value under a key drawn for the label's name, and the
interpreter's own hash of the value times a number drawn for the name. Two different sets meet in one key with a chance
of about 2^-128, and nobody outside can look for such a pair; the series that a key stands for was found by comparing
labels exactly (`label_find.find`). So a million sets cost 24 MB instead of their texts.
"""

from __future__ import annotations

import secrets
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.signals.tables import Table, Texts
from workbench.store.label_block import Part
from workbench.store.label_state import merge_from
from workbench.store.labels import arrow_of, places_of, utf8

__all__ = ["Keyring", "Known", "Tables"]

_Ints = npt.NDArray[np.int64]
_Objects = npt.NDArray[np.object_]
_Keys = npt.NDArray[np.uint64]


class Keyring:
    """Turns label sets into keys."""

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[str, np.uint64]] = {}
        self._last: tuple[Any, Any, _Keys] = (None, None, np.zeros((2, 0), np.uint64))

    def lanes(self, name: str, values: Any, n: int) -> _Keys:
        """Return what each Arrow text contributes to the first `n` lanes of a key, shape (n, v); nothing if it is ""."""
        if name not in self._secrets:
            self._secrets.setdefault(name, (secrets.token_hex(8), np.uint64(secrets.randbits(64) | 1)))
        secret, factor = self._secrets[name]
        texts = values.to_numpy(zero_copy_only=False)
        out = np.empty((n, len(texts)), np.uint64)
        out[0] = pd.util.hash_array(texts, hash_key=secret, categorize=False)
        if n > 1:
            out[1] = np.fromiter(map(hash, texts), np.int64, len(texts)).view(np.uint64) * factor
        out[:, texts == ""] = 0
        return out

    def _add(self, keys: _Keys, name: str, texts: Any) -> None:
        """Add what Arrow texts of one label contribute to keys of shape (2, n): nothing where they are "" or null."""
        places, values = places_of(texts)
        lanes = np.zeros((2, len(values) + 1), np.uint64)  # the last is what place -1 stands for
        lanes[:, :-1] = self.lanes(name, values, 2)
        keys += lanes.take(places, axis=1)

    def labels(self, labels: pd.DataFrame) -> _Keys:
        """Return the keys of the label sets in a table, shape (2, n)."""
        keys = np.zeros((2, len(labels)), np.uint64)
        for i, name in enumerate(labels.columns):
            self._add(keys, f"label {utf8(name)}", arrow_of(labels._mgr.iget_values(i)))
        return keys

    def series(self, part: Part) -> _Keys:
        """Return the first lane of the keys of a part's series, shape (n,)."""
        keys = np.zeros(part.count, np.uint64)
        for name, column in part.columns.items():
            first = self.lanes(f"label {name}", column.span("")[1], 1)[0]
            keys += np.append(np.uint64(0), first).take(column.codes())
        return keys

    def about(self, kind: _Objects, unit: _Objects) -> _Keys:
        """Return what kind and unit add to the keys, shape (2, n)."""
        same = kind.tobytes(), unit.tobytes()  # the addresses of the texts, which stay alive below
        if self._last[0] != same:
            keys = np.zeros((2, len(kind)), np.uint64)
            self._add(keys, "kind", arrow_of(kind))
            self._add(keys, "unit", arrow_of(unit))
            self._last = same, (kind.copy(), unit.copy()), keys
        return self._last[2]


class Known:
    """Numbers by key, in a few sorted runs."""

    def __init__(self, most: int = 2_000_000) -> None:
        self._most = most
        self._runs: list[tuple[_Keys, _Ints]] = []

    def get(self, keys: _Keys) -> _Ints:
        """Return the number under each key, 0 for none."""
        out = np.zeros(keys.shape[1], np.int64)
        order = np.argsort(keys[0])  # neighbours are looked for one after the other: memory is near
        wanted = keys[:, order]
        for known, numbers in self._runs:
            at = np.minimum(np.searchsorted(known[0], wanted[0]), known.shape[1] - 1)
            hit = (known[0][at] == wanted[0]) & (known[1][at] == wanted[1])
            out[order[hit]] = numbers[at[hit]]
        return out

    def add(self, keys: _Keys, numbers: _Ints) -> None:
        """Keep numbers under keys that have none; all is forgotten when there are too many."""
        if not len(numbers):
            return
        if sum(len(run[1]) for run in self._runs) + len(numbers) > self._most:
            self._runs = []
        at = merge_from([len(run[1]) for run in self._runs], len(numbers), 1, self._most)
        both = [*self._runs[at:], (keys, numbers)]
        keys, numbers = np.concatenate([run[0] for run in both], axis=1), np.concatenate([run[1] for run in both])
        order = np.argsort(keys[0], kind="stable")
        self._runs = [*self._runs[:at], (keys[:, order], numbers[order])]


class Tables:
    """The label tables resolved last, with what was said of their series."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[Table, tuple[Texts, Texts, _Ints]] = weakref.WeakKeyDictionary()

    def get(self, table: Table | None, kind: _Objects, unit: _Objects) -> _Ints | None:
        """Return the numbers of the rows of a table, None when it is not known with these kinds and units."""
        kept = None if table is None else self._kept.get(table)
        return kept[2].copy() if kept is not None and kept[0].are(kind) and kept[1].are(unit) else None

    def add(self, table: Table | None, kind: _Objects, unit: _Objects, numbers: _Ints) -> None:
        """Keep the numbers of the rows of a table."""
        if table is not None:
            self._kept[table] = Texts(kind), Texts(unit), numbers.copy()
