"""Rows of the table `labels`: compressed pieces that never change, each under its own checksum and read but once.

A row's number comes from a counter and is never used again, so what was read under a number stays true. Negative
numbers are the heads of blocks (`label_pack.py`), positive ones the pieces that the heads speak of.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import zstandard

from workbench.errors import StoreError
from workbench.store.catalog import Transaction

__all__ = ["Moved", "Pantry", "Shelf", "claim", "pack", "read_rows", "row_crc", "unpack", "write_rows"]

_T = TypeVar("_T")


class _Tools(threading.local):
    """Compressors by level and the decompressor of one thread: zstandard's objects serve one at a time."""

    def __init__(self) -> None:
        self.pack: dict[int, zstandard.ZstdCompressor] = {}
        self.unpack = zstandard.ZstdDecompressor()


_tools = _Tools()

_SMALL = 64 * 2**10
_MANY = 500


class Moved(Exception):
    """A row is no longer there: its block was folded into another, or the catalog is damaged."""


def row_crc(number: int, data: bytes) -> int:
    """Return the checksum of a row; it begins with the row's number, so that rows cannot change places."""
    return zlib.crc32(data, number & 0xFFFFFFFF)


def pack(raw: bytes, hard: bool = False) -> bytes:
    """Return bytes compressed; `hard` is for heads, which small stores consist of."""
    level = 15 if hard and len(raw) <= _SMALL else 6
    if level not in _tools.pack:
        _tools.pack[level] = zstandard.ZstdCompressor(level=level, write_checksum=False)
    return bytes(_tools.pack[level].compress(raw))


def unpack(data: bytes) -> bytes:
    """Return what `pack` was given."""
    return bytes(_tools.unpack.decompress(data))


def _checked(number: int, data: bytes, crc32: int, what: str) -> bytes:
    data = bytes(data)
    if row_crc(number, data) != crc32:
        raise StoreError(f"the label index is damaged in row {number}, {what}: restore the catalog.")
    return unpack(data)


def read_rows(transaction: Transaction, numbers: Sequence[int], what: str) -> dict[int, bytes]:
    """Return the content of rows.

    Raises
    ------
    Moved
        If one is not there.
    StoreError
        If one is damaged; `what` says what the rows hold.
    """
    found: dict[int, bytes] = {}
    for at in range(0, len(numbers), _MANY):
        part = numbers[at : at + _MANY]
        query = f"SELECT id, data, crc32 FROM labels WHERE id IN ({', '.join('?' * len(part))})"
        for number, data, crc32 in transaction.execute(query, tuple(part)).fetchall():
            found[number] = _checked(number, data, crc32, what)
    if len(found) < len(numbers):
        raise Moved(f"the label index lacks rows, {what}: restore the catalog.")
    return found


def write_rows(transaction: Transaction, rows: Iterable[tuple[int, bytes]]) -> None:
    """Add packed rows under numbers that were claimed for them."""
    transaction.executemany(
        "INSERT INTO labels (id, data, crc32) VALUES (?, ?, ?)",
        [(number, data, row_crc(number, data)) for number, data in rows],
    )


def claim(transaction: Transaction, name: str, n: int) -> int:
    """Return the first of the `n` numbers of a counter in `meta` that are the caller's from now on."""
    query = "UPDATE meta SET value = value + ? WHERE name = ? RETURNING value"
    row = transaction.execute(query, (n, name)).fetchone()
    if row is None:
        raise StoreError(f"the catalog has lost its counter {name!r}: restore the catalog.")
    return int(row[0]) - n + 1


class Shelf:
    """What was made of rows, up to a number of bytes; what was not asked for the longest is dropped.

    Parameters
    ----------
    limit : int
        Bytes to keep.
    """

    def __init__(self, limit: int = 256 * 2**20) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: Iterable[Hashable]) -> list[Any]:
        """Return what is kept under keys, None for nothing."""
        found = []
        with self._lock:
            for key in keys:
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                found.append(None if kept is None else kept[1])
        return found

    def put(self, items: Iterable[tuple[Hashable, int, Any]]) -> None:
        """Keep values; an item is (key, bytes of the value, value)."""
        with self._lock:
            for key, size, value in items:
                self._bytes += size - self._kept.pop(key, (0, None))[0]
                self._kept[key] = size, value
            while self._bytes > self._limit and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1][0]


class Pantry:
    """Where rows come from, and the shelf for what is made of them.

    Parameters
    ----------
    rows : callable
        Takes row numbers and what they hold, returns their content by number.
    shelf : Shelf, optional
    """

    def __init__(self, rows: Callable[[Sequence[int], str], dict[int, bytes]], shelf: Shelf | None = None) -> None:
        self.rows = rows
        self.shelf = shelf or Shelf()

    def get(self, key: Hashable, make: Callable[[], tuple[int, _T]]) -> _T:
        """Return what is kept under a key, or else what `make` returns as (bytes, value)."""
        kept: _T | None = self.shelf.get([key])[0]
        if kept is None:
            size, kept = make()
            self.shelf.put([(key, size, kept)])
        return kept
