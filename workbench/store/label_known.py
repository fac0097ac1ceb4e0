"""What a writing process remembers of series it has resolved: whole label tables, and single label sets by a 128-bit key.

A key is the sum of one keyed SipHash per label, twice, under keys drawn at random by this process. Two different sets
meet in one key with a chance of 2^-128, and nobody outside can look for such a pair; the series that a key stands for
was found by comparing labels exactly (`label_find.find`). So a million sets cost 24 MB instead of their texts.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.store.label_state import merge_from
from workbench.store.labels import distinct, encoded, texts_of, utf8

__all__ = ["Frames", "Keyring", "Known"]

_Ints = npt.NDArray[np.int64]
_Objects = npt.NDArray[np.object_]
_Keys = npt.NDArray[np.uint64]

_MOST_FRAMES = 32
_MOST_ROWS = 500_000


class Keyring:
    """Turns label sets into keys."""

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[str, str]] = {}

    def _hashes(self, name: str, values: Any) -> _Keys:
        """Return two hashes of each Arrow text, shape (2, v + 1); those of "" (first) are 0."""
        if name not in self._secrets:
            self._secrets[name] = secrets.token_hex(8), secrets.token_hex(8)
        texts = values.to_numpy(zero_copy_only=False)
        out = np.zeros((2, len(texts) + 1), np.uint64)
        for row, secret in zip(out, self._secrets[name], strict=True):
            row[1:] = pd.util.hash_array(texts, hash_key=secret, categorize=False)
        return out

    def labels(self, labels: pd.DataFrame) -> _Keys:
        """Return the keys of the label sets in a table, shape (2, n)."""
        keys = np.zeros((2, len(labels)), np.uint64)
        for name in labels.columns:
            codes, values = encoded(labels[name].array)
            keys += self._hashes(f"label {utf8(name)}", values)[:, codes]
        return keys

    def about(self, kind: _Objects, unit: _Objects) -> _Keys:
        """Return what kind and unit add to the keys, shape (2, n)."""
        keys = np.zeros((2, len(kind)), np.uint64)
        for name, column in (("kind", kind), ("unit", unit)):
            places, found = pd.factorize(column)
            codes, values = distinct(texts_of(found))
            keys += self._hashes(name, values)[:, np.append(codes, 0)[places]]
        return keys


class Known:
    """Numbers by key, in a few sorted runs."""

    def __init__(self, most: int = 2_000_000) -> None:
        self._most = most
        self._runs: list[tuple[_Keys, _Ints]] = []

    def get(self, keys: _Keys) -> _Ints:
        """Return the number under each key, 0 for none."""
        out = np.zeros(keys.shape[1], np.int64)
        for known, numbers in self._runs:
            at = np.minimum(np.searchsorted(known[0], keys[0]), known.shape[1] - 1)
            hit = (known[0][at] == keys[0]) & (known[1][at] == keys[1])
            out[hit] = numbers[at[hit]]
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


def _fingerprint(labels: pd.DataFrame, kind: _Objects, unit: _Objects) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """Return a key that only equal tables have as long as the objects in the second tuple are alive.

    Arrow's buffers are immutable, so a changed column is another object. An array of Python texts is told by the
    addresses of its texts, which cannot change either.
    """
    if len(labels) > _MOST_ROWS:
        return None
    inside = labels._mgr  # the public way makes a Series of each column, at 10 us a piece
    key: list[Any] = [len(labels), *labels.columns, inside.blknos.tobytes()]
    alive: list[Any] = [kind.copy(), unit.copy()]
    for column in inside.arrays:
        array = getattr(column, "_pa_array", None)
        if array is None:
            return None
        key.append(id(array))
        alive.append(array)
    return (*key, kind.tobytes(), unit.tobytes()), tuple(alive)


class Frames:
    """The label tables resolved last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], tuple[tuple[Any, ...], _Ints]] = OrderedDict()

    def get(self, labels: pd.DataFrame, kind: _Objects, unit: _Objects) -> _Ints | None:
        """Return the numbers of a table's rows, None when it is not known."""
        said = _fingerprint(labels, kind, unit)
        kept = None if said is None else self._kept.get(said[0])
        return None if kept is None else kept[1].copy()

    def add(self, labels: pd.DataFrame, kind: _Objects, unit: _Objects, numbers: _Ints) -> None:
        """Keep the numbers of a table's rows."""
        said = _fingerprint(labels, kind, unit)
        if said is None:
            return
        self._kept[said[0]] = said[1], numbers.copy()
        rows = 0
        for key in reversed([*self._kept]):
            rows += len(self._kept[key][1])
            if rows > _MOST_ROWS or len(self._kept) > _MOST_FRAMES:
                self._kept.pop(key)
