"""Series and their labels: which label sets exist, what number each has, and which match a selection.

A label set is written as canonical JSON (names sorted, absent labels left out); its 128-bit hash is its identity. The
catalog keeps the sets, their distinct (name, value) pairs and, per pair, the series that have it (postings). Each
process reads the postings once into one column of small integers per label name, and then only what is new.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import StoreError
from workbench.signals import Matcher
from workbench.store.catalog import Catalog

__all__ = ["SeriesIndex", "SeriesWriter", "canonical", "pair_hash", "text_hash"]

_Ints = npt.NDArray[np.int64]


def text_hash(text: str) -> bytes:
    """Return the 128-bit identity of a canonical label set."""
    return blake2b(text.encode(), digest_size=16).digest()


def pair_hash(name: str, value: str) -> bytes:
    """Return the 128-bit identity of one label and its value."""
    return text_hash(f"{json.dumps(name)}:{value}")


def described_crc(number: int, kind: str, unit: str) -> int:
    """Return the checksum of what a series is said to be."""
    return zlib.crc32(f"{number} {kind} {unit}".encode())


def posting_crc(pair: int, first: int, series: bytes) -> int:
    """Return the checksum of one row of the label index."""
    return zlib.crc32(series, zlib.crc32(f"{pair} {first}".encode()))


def _described(connection: sqlite3.Connection, low: int, high: int) -> list[tuple[str, str]]:
    """Return kind and unit of the series from `low` to `high`, in order and without gaps."""
    found = []
    query = "SELECT id, kind, unit, crc32 FROM series WHERE id BETWEEN ? AND ? ORDER BY id"
    for i, (number, kind, unit, crc32) in enumerate(connection.execute(query, (low, high)), start=low):
        if number != i or described_crc(number, kind, unit) != crc32:
            raise StoreError(f"the catalog's row of series {i} is damaged: restore the catalog.")
        found.append((kind, unit))
    return found


def _utf8(text: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate is written out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def canonical(labels: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return one JSON object per row of a label table, names sorted, empty labels left out; str objects, shape (n,)."""
    text = np.full(len(labels), "", object)
    for name in sorted(map(str, labels.columns)):
        codes, distinct = pd.factorize(labels[name].to_numpy(dtype=object))
        key = json.dumps(_utf8(name))
        pieces = np.array([f",{key}:{json.dumps(_utf8(v))}" if v else "" for v in distinct] + [""], dtype=object)
        text = text + pieces[codes]
    return np.array(["{" + t[1:] + "}" for t in text.tolist()], dtype=object)


class SeriesWriter:
    """Turns label sets into series numbers, registering new ones; remembers what it has seen."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, str, str], int] = {}

    def resolve(
        self, labels: pd.DataFrame, kind: npt.NDArray[np.object_], unit: npt.NDArray[np.object_]
    ) -> tuple[_Ints, list[str]]:
        """Return the number and the canonical text of every series; new ones are durable before this returns."""
        texts = canonical(labels).tolist()
        keys = list(zip(texts, kind.tolist(), unit.tolist(), strict=True))
        missing = [key for key in keys if key not in self._known]
        if missing:
            if len(self._known) > 1_000_000:
                self._known.clear()
                missing = keys
            with self._catalog.write() as connection:
                self._known.update(_register(connection, list(dict.fromkeys(missing))))
        return np.fromiter(map(self._known.__getitem__, keys), np.int64, len(keys)), texts


def _register(connection: sqlite3.Connection, keys: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    """Give every label set a number; `keys` are distinct (labels, kind, unit)."""
    hashes = [text_hash(text) for text, _, _ in keys]
    stored = _lookup(connection, "SELECT hash, id, kind, unit FROM series WHERE hash IN", hashes)
    new: dict[bytes, tuple[int, str]] = {}
    last = connection.execute("SELECT coalesce(max(id), 0) FROM series").fetchone()[0]
    out, changed = {}, False
    for key, digest in zip(keys, hashes, strict=True):
        text, kind, unit = key
        if digest not in stored:
            last += 1
            stored[digest] = (last, kind, unit)
            new[digest] = (last, text)
            row = (last, digest, text, kind, unit, described_crc(last, kind, unit))
            connection.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", row)
        number, old_kind, old_unit = stored[digest]
        better = (kind if kind != "unknown" else old_kind, unit or old_unit)
        if better != (old_kind, old_unit):
            values = (*better, described_crc(number, *better), number)
            connection.execute("UPDATE series SET kind = ?, unit = ?, crc32 = ? WHERE id = ?", values)
            stored[digest], changed = (number, *better), True
        out[key] = number
    if changed:
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'series_changed'")
    if new:
        _post(connection, list(new.values()))
    return out


def _lookup(connection: sqlite3.Connection, query: str, hashes: list[bytes]) -> dict[bytes, tuple[Any, ...]]:
    found: dict[bytes, tuple[Any, ...]] = {}
    for at in range(0, len(hashes), 500):
        part = hashes[at : at + 500]
        rows = connection.execute(f"{query} ({', '.join('?' * len(part))})", part)
        found |= {row[0]: tuple(row[1:]) for row in rows}
    return found


def _post(connection: sqlite3.Connection, new: list[tuple[int, str]]) -> None:
    """Add new series to the pairs and postings."""
    members: dict[tuple[str, str], list[int]] = {}
    for number, text in new:
        for pair in json.loads(text).items():
            members.setdefault(pair, []).append(number)
    hashes = {pair: pair_hash(*pair) for pair in members}
    stored = _lookup(connection, "SELECT hash, id FROM pairs WHERE hash IN", list(hashes.values()))
    last = connection.execute("SELECT coalesce(max(id), 0) FROM pairs").fetchone()[0]
    first = new[0][0]
    for pair, numbers in members.items():
        digest = hashes[pair]
        if digest not in stored:
            last += 1
            stored[digest] = (last,)
            connection.execute("INSERT INTO pairs VALUES (?, ?, ?, ?)", (last, digest, *pair))
        blob = np.array(numbers, "<i8").tobytes()
        row = (stored[digest][0], first, blob, posting_crc(stored[digest][0], first, blob))
        connection.execute("INSERT INTO postings VALUES (?, ?, ?, ?)", row)


@dataclass
class _Column:
    """One label over all series: a code per series, 0 = the label is absent."""

    codes: npt.NDArray[np.int32]
    values: list[str] = field(default_factory=lambda: [""])
    code_of_pair: dict[int, int] = field(default_factory=dict)


class SeriesIndex:
    """The labels of all series in memory, refreshed with what is new; series numbers run from 1 without gaps."""

    def __init__(self) -> None:
        self.size = 0
        self.kind = np.empty(0, object)
        self.unit = np.empty(0, object)
        self._changed = 0
        self._pairs = 0
        self._columns: dict[str, _Column] = {}
        self._home: dict[int, _Column] = {}
        self._lock = threading.RLock()

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read the series added since the last call; all of them when kinds or units were corrected.

        Raises
        ------
        StoreError
            If the catalog's label tables contradict each other.
        """
        with self._lock:
            self._refresh(connection)

    def _refresh(self, connection: sqlite3.Connection) -> None:
        changed = connection.execute("SELECT value FROM meta WHERE name = 'series_changed'").fetchone()[0]
        if changed != self._changed:
            self._describe(_described(connection, 1, self.size), self.size)
            self._changed = changed
        rows = _described(connection, self.size + 1, 2**62)
        if not rows:
            return
        old, self.size = self.size, self.size + len(rows)
        self._describe([*zip(self.kind, self.unit, strict=True), *rows], self.size)
        self._read_pairs(connection, old)
        for column in self._columns.values():
            column.codes = np.concatenate([column.codes, np.zeros(self.size - len(column.codes), np.int32)])
        new = connection.execute("SELECT pair, first, series, crc32 FROM postings WHERE first > ?", (old,))
        for pair, first, blob, crc32 in new:
            if pair not in self._home or posting_crc(pair, first, blob) != crc32:
                raise StoreError(
                    f"the label index is damaged where it lists the series of pair {pair}: restore the catalog."
                )
            column = self._home[pair]
            column.codes[np.frombuffer(blob, "<i8") - 1] = column.code_of_pair[pair]

    def _read_pairs(self, connection: sqlite3.Connection, old: int) -> None:
        new = connection.execute("SELECT id, hash, name, value FROM pairs WHERE id > ?", (self._pairs,))
        for number, digest, name, value in new:
            if pair_hash(name, value) != digest:
                raise StoreError(
                    f"the label {name[:80]!r} (pair {number}) does not match its hash: restore the catalog."
                )
            column = self._columns.setdefault(name, _Column(np.zeros(old, np.int32)))
            column.code_of_pair[number] = len(column.values)
            column.values.append(value)
            self._home[number] = column
            self._pairs = max(self._pairs, number)

    def _describe(self, rows: Sequence[tuple[str, str]], n: int) -> None:
        self.kind, self.unit = np.empty(n, object), np.empty(n, object)
        self.kind[:] = [row[0] for row in rows]
        self.unit[:] = [row[1] for row in rows]

    def match(self, matchers: Sequence[Matcher]) -> _Ints:
        """Return the sorted numbers of the series that satisfy every matcher.

        Each matcher is asked about the distinct values of its label only, the absent one ("") among them.
        """
        with self._lock:
            keep = np.ones(self.size, bool)
            for matcher in matchers:
                column = self._columns.get(matcher.name)
                values = np.array(column.values if column else [""], dtype=object)
                hit = matcher.mask(values)
                keep &= hit[column.codes] if column else hit[0]
            return np.flatnonzero(keep) + 1

    def frame(self, ids: _Ints) -> pd.DataFrame:
        """Return the labels of some series: sorted names that any of them has (`metric` always), "" where absent."""
        with self._lock:
            return self._frame(ids)

    def _frame(self, ids: _Ints) -> pd.DataFrame:
        data: dict[str, Any] = {}
        for name in sorted({*self._columns, "metric"}):
            column = self._columns.get(name)
            codes = column.codes[ids - 1] if column else np.zeros(len(ids), np.int32)
            if name == "metric" or codes.any():
                values = np.array(column.values if column else [""], dtype=object)
                data[name] = pd.array(values[codes], dtype="str")
        return pd.DataFrame(data, index=pd.RangeIndex(len(ids)))

    def describe(self, ids: _Ints) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Return kind and unit of some series."""
        return self.kind[ids - 1], self.unit[ids - 1]

    def texts(self, ids: _Ints) -> list[str]:
        """Return the canonical JSON of some series."""
        return [str(text) for text in canonical(self.frame(ids))]
