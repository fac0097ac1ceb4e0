"""One consistent view of what a signal consists of: its segments and its hot rows at one instant."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from workbench.errors import StoreError
from workbench.signals import SIGNALS
from workbench.store.catalog import Transaction
from workbench.store.files import SEALED, File, row_crc
from workbench.store.hot import samples_of, unpack
from workbench.store.hot_samples import HotSamples

__all__ = ["Hot", "HotCache", "Segment", "Snapshot", "hot_crc", "load_hot", "load_segments", "take"]


@dataclass(frozen=True)
class Segment:
    """A segment as the catalog names it; `rank` is the last write in it, which decides between repetitions."""

    id: int
    signal: str
    rank: int
    files: tuple[File, ...]
    series: tuple[int, int] | None
    tier: str = "warm"


@dataclass(frozen=True)
class Hot:
    """One hot row, unpacked: samples of metrics, tables of any other signal."""

    id: int
    seq: int
    content: HotSamples | dict[str, pa.Table]

    @property
    def samples(self) -> HotSamples:
        """What a row of metrics holds."""
        assert isinstance(self.content, HotSamples)
        return self.content

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What a row holds as Arrow tables by name."""
        return {"metrics": self.content.to_table()} if isinstance(self.content, HotSamples) else self.content


@dataclass(frozen=True)
class Snapshot:
    """Segments and hot rows of one signal, in the order they were written."""

    segments: tuple[Segment, ...]
    hot: tuple[Hot, ...]


def hot_crc(payload: bytes, signal: str, seq: int, t_min: int, t_max: int, rows: int) -> int:
    """Return the checksum of a hot row: its payload, after what its row says of it as JSON."""
    return zlib.crc32(payload, zlib.crc32(f'["{signal}", {seq}, {t_min}, {t_max}, {rows}]'.encode()))


def load_hot(connection: Transaction, ids: Sequence[int]) -> dict[int, Hot]:
    """Return hot rows checked and unpacked; ids that are gone are left out.

    Raises
    ------
    StoreError
        If a row is damaged; the message names it.
    """
    found = {}
    for at in range(0, len(ids), 500):
        part = ids[at : at + 500]
        marks = ", ".join("?" * len(part))
        for number, crc32, payload, signal, *about in connection.execute(
            f"SELECT id, crc32, payload, signal, seq, t_min, t_max, rows FROM hot WHERE id IN ({marks}) ORDER BY id",
            part,
        ):
            try:
                if hot_crc(payload, signal, *about) != crc32:
                    raise ValueError("its checksum does not match")
                content = samples_of(payload, about[0]) if signal == "metrics" else unpack(payload)
                found[number] = Hot(number, about[0], content)
            except ValueError as error:
                raise StoreError(f"hot row {number} of {signal} is damaged, {error}: restore the catalog.") from error
    return found


def _hides(payload: bytes, signal: str, says: tuple[int, int], start: int, end: int) -> bool:
    """Return whether a damaged row has rows in [start, end) although its own columns say otherwise.

    One of the two is damaged, columns or payload; a payload that makes no sense is, and the columns are true then.
    """
    try:
        if signal == "metrics":
            times = [samples_of(payload, 0).time]
        else:
            tables = unpack(payload).values()
            times = [t["time"].cast(pa.int64()).to_numpy() for t in tables if "time" in t.column_names and len(t)]
        span = min(int(t.min()) for t in times), max(int(t.max()) for t in times)
    except (ValueError, pa.ArrowException, LookupError, AttributeError):
        return False
    return span != says and span[0] < end and span[1] >= start


Known = dict[int, tuple[tuple[Any, ...], Segment]]
"""Segments by id with the catalog's row that each was made of, whose checksum was compared then."""

_MOST_KNOWN = 50_000
_DAMAGED = "the catalog's row of segment {} is damaged: restore the catalog."


class HotCache:
    """Hot rows unpacked and segments checked before, so that each is once per process.

    A hot row never changes; a segment is looked at again when anything in its row has changed.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[int, Hot]] = {}
        self.segments: Known = {}
        self._seen = -1
        self._outside: dict[str, set[int]] = {}

    def check(self, connection: Transaction) -> None:
        """Look at every row that is new, whatever is asked: one whose signal or times are damaged would not be found.

        Raises
        ------
        StoreError
            If a row of the catalog is damaged; the message names the segment.
        """
        query = f"SELECT id, crc32, retired, {', '.join(SEALED)} FROM segments WHERE id > ? ORDER BY id"
        for number, crc32, retired, *sealed in connection.execute(query, (self._seen,)).fetchall():
            if row_crc(*sealed) != crc32 or (retired is not None and not (isinstance(retired, int) and retired > 0)):
                raise StoreError(_DAMAGED.format(number))
            self._seen = number
        strange = [name for (name,) in connection.execute("SELECT DISTINCT signal FROM hot") if name not in SIGNALS]
        if strange:
            raise StoreError("a hot row of the catalog belongs to no signal: restore the catalog.")

    def get(self, connection: Transaction, signal: str, ids: set[int]) -> dict[int, Hot]:
        """Return hot rows of a signal, those with the given ids among them."""
        held = self._held.setdefault(signal, {})
        new = ids - held.keys()
        if new:
            held.update(load_hot(connection, sorted(new)))
        return held

    def check_others(self, connection: Transaction, signal: str, ids: set[int], start: int, end: int) -> None:
        """Look once at hot rows that are said to lie outside [start, end): a damaged time may have put them there.

        Raises
        ------
        StoreError
            If one is inside by what it holds; the message names it.
        """
        sound = self._outside.setdefault(signal, set())
        new = sorted(ids - sound)
        for at in range(0, len(new), 100):
            part = new[at : at + 100]
            for number, crc32, payload, seq, low, high, rows in connection.execute(
                f"SELECT id, crc32, payload, seq, t_min, t_max, rows FROM hot WHERE id IN ({', '.join('?' * len(part))})",
                part,
            ).fetchall():
                if hot_crc(payload, signal, seq, low, high, rows) == crc32:
                    sound.add(number)
                elif _hides(payload, signal, (low, high), start, end):
                    raise StoreError(
                        f"hot row {number} of {signal} is damaged, its times are not its own: restore the catalog."
                    )

    def forget(self, signal: str, alive: set[int]) -> None:
        """Drop rows that have been sealed since."""
        held = self._held.get(signal, {})
        self._outside[signal] = self._outside.get(signal, set()) & alive
        for number in held.keys() - alive:
            held.pop(number, None)


def take(connection: Transaction, cache: HotCache, signal: str, start: int, end: int) -> Snapshot:
    """Return what may hold data of a signal in [start, end); hot rows come checked and unpacked.

    Raises
    ------
    StoreError
        If a hot row is damaged; the message names it.
    """
    cache.check(connection)
    listed = connection.execute("SELECT id, seq, t_min, t_max FROM hot WHERE signal = ?", (signal,)).fetchall()
    ids = {row[0] for row in listed if row[2] < end and row[3] >= start}
    cache.forget(signal, {row[0] for row in listed})
    held = cache.get(connection, signal, ids)
    cache.check_others(connection, signal, {row[0] for row in listed} - held.keys(), start, end)
    condition = "signal = ? AND t_min < ? AND t_max >= ? AND retired IS NULL"
    segments = tuple(load_segments(connection, condition, (signal, end, start), cache.segments))
    hot = tuple(held[number] for number in sorted(ids))
    return Snapshot(segments, hot)


def load_segments(
    connection: Transaction, condition: str, values: Sequence[Any], known: Known | None = None
) -> list[Segment]:
    """Return the segments that satisfy an SQL condition on their catalog rows, in the order of their last writes.

    Parameters
    ----------
    connection : Transaction
    condition : str
    values : sequence
        Parameters of the condition.
    known : dict, optional
        What was loaded before; those that are new are added.

    Raises
    ------
    StoreError
        If a row of the catalog is damaged; the message names the segment.
    """
    known = {} if known is None else known
    rows = connection.execute(
        f"SELECT id, crc32, tier, {', '.join(SEALED)} FROM segments WHERE {condition} ORDER BY seq_max, id", values
    ).fetchall()
    held = [known.get(row[0]) for row in rows]
    if all(one is not None and one[0] == row for one, row in zip(held, rows, strict=True)):
        return [one[1] for one in held if one is not None]
    files: dict[int, list[File]] = {}
    for segment, *file in connection.execute(
        "SELECT segment, role, path, files.bytes, files.crc32 FROM files JOIN segments ON segment = id"
        f" WHERE {condition}",
        values,
    ):
        files.setdefault(segment, []).append(File(*file))
    found = []
    for row in rows:
        made = known.get(row[0])
        if made is None or made[0] != row:
            made = row, _segment(row, files.get(row[0], []))
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[row[0]] = made
        found.append(made[1])
    return found


def _segment(row: tuple[Any, ...], files: list[File]) -> Segment:
    number, crc32, tier, *sealed = row
    about = dict(zip(SEALED, sealed, strict=True))
    if row_crc(*sealed) != crc32 or not files:
        raise StoreError(_DAMAGED.format(number))
    series = None if about["series_min"] is None else (about["series_min"], about["series_max"])
    return Segment(number, about["signal"], about["seq_max"], tuple(files), series, tier)
