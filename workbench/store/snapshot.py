"""One consistent view of what a signal consists of: its segments and its hot rows at one instant."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import pyarrow as pa

from workbench.errors import StoreError
from workbench.store.files import File
from workbench.store.hot import unpack

__all__ = ["Hot", "HotCache", "Segment", "Snapshot", "take"]


@dataclass(frozen=True)
class Segment:
    """A segment as the catalog names it; `rank` is the last write in it, which decides between repetitions."""

    id: int
    rank: int
    files: tuple[File, ...]
    series: tuple[int, int] | None


@dataclass(frozen=True)
class Hot:
    """One hot row, unpacked."""

    id: int
    seq: int
    tables: dict[str, pa.Table]


@dataclass(frozen=True)
class Snapshot:
    """Segments and hot rows of one signal, in the order they were written."""

    segments: tuple[Segment, ...]
    hot: tuple[Hot, ...]


class HotCache:
    """Hot rows unpacked before; a row never changes, so each is read from the catalog once per process."""

    def __init__(self) -> None:
        self._held: dict[str, dict[int, Hot]] = {}

    def get(self, connection: sqlite3.Connection, signal: str, ids: set[int]) -> dict[int, Hot]:
        """Return the hot rows with these ids; those that are no longer asked for are forgotten with their signal."""
        held = self._held.setdefault(signal, {})
        new = ids - held.keys()
        if new:
            rows = connection.execute(
                "SELECT id, seq, crc32, payload FROM hot WHERE signal = ? AND id BETWEEN ? AND ?",
                (signal, min(new), max(new)),
            )
            for number, seq, crc32, payload in rows:
                if number in new:
                    try:
                        held[number] = Hot(number, seq, unpack(payload, crc32))
                    except ValueError as error:
                        raise StoreError(f"hot row {number} of {signal} is damaged, {error}: restore the catalog.") from error
        return held

    def forget(self, signal: str, alive: set[int]) -> None:
        """Drop rows that have been sealed since."""
        held = self._held.get(signal, {})
        for number in held.keys() - alive:
            held.pop(number, None)


def take(connection: sqlite3.Connection, cache: HotCache, signal: str, start: int, end: int) -> Snapshot:
    """Return what may hold data of a signal in [start, end); hot rows come checked and unpacked.

    Raises
    ------
    StoreError
        If a hot row is damaged; the message names it.
    """
    listed = connection.execute(
        "SELECT id, seq, t_min, t_max FROM hot INDEXED BY hot_by_signal WHERE signal = ?", (signal,)
    ).fetchall()
    ids = {row[0] for row in listed if row[2] < end and row[3] >= start}
    cache.forget(signal, {row[0] for row in listed})
    held = cache.get(connection, signal, ids)
    files: dict[int, list[File]] = {}
    window = (signal, end, start)
    found = connection.execute(
        "SELECT id, seq_max, series_min, series_max FROM segments"
        " WHERE signal = ? AND t_min < ? AND t_max >= ? AND retired IS NULL ORDER BY seq_max, id",
        window,
    ).fetchall()
    for segment, *file in connection.execute(
        "SELECT segment, role, path, files.bytes, crc32 FROM files JOIN segments ON segment = id"
        " WHERE signal = ? AND t_min < ? AND t_max >= ? AND retired IS NULL",
        window,
    ):
        files.setdefault(segment, []).append(File(*file))
    segments = tuple(
        Segment(number, rank, tuple(files.get(number, ())), None if low is None else (low, high))
        for number, rank, low, high in found
    )
    hot = tuple(held[number] for number in sorted(ids))
    return Snapshot(segments, hot)
