"""`Store`: one folder of telemetry, written, read and sealed by any number of processes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from workbench.errors import StoreError, check_one_of
from workbench.signals import SIGNALS, Batch, Matcher, Profiles, Samples, TimeLike, check_batch, parse_time
from workbench.signals.time import MAX_NS
from workbench.store import frames, metrics, profiles, rows, seal, verify
from workbench.store.catalog import Catalog
from workbench.store.files import Gone
from workbench.store.place import prepare
from workbench.store.series import SeriesIndex, SeriesWriter
from workbench.store.snapshot import HotCache, Snapshot, take
from workbench.store.write import write_batch

__all__ = ["Store"]

_T = TypeVar("_T")
_ROWS = ("logs", "spans", "events")


class Store:
    """One folder of telemetry.

    Use `Store.open`. What `write` has returned from is on the disk, and every other process that has the store open
    reads it from then on. A store may be used by several threads, and after a fork.

    Attributes
    ----------
    path : Path
        The store's folder.
    read_only : bool
        Whether the folder cannot be written; `write` and `seal` then raise `StoreError`.
    """

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self.path = path
        self.read_only = catalog.read_only
        self._catalog = catalog
        self._index = SeriesIndex()
        self._writer = SeriesWriter(catalog)
        self._hot = HotCache()
        self._chunks = metrics.ChunkCache(path)

    @classmethod
    def open(cls, path: str | Path, *, create: bool = True) -> Store:
        """Open the store in a folder, and make it if there is none.

        Parameters
        ----------
        path : str or Path
            The store's folder; one that cannot be written is opened for reading only.
        create : bool
            Whether a new store may be made in a missing or empty folder.

        Raises
        ------
        StoreError
            If there is no store and none may be made, the folder holds something else, lies on a network file system
            and can be written, or its catalog is damaged or of a newer format.
        """
        folder = Path(path).expanduser().absolute()
        read_only = prepare(folder, create)
        return cls(folder, Catalog(folder, read_only))

    def close(self) -> None:
        """Let go of the files; the store cannot be used afterwards."""
        self._catalog.close()

    def __enter__(self) -> Store:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Return a one-line summary."""
        return f"Store({str(self.path)!r})"

    def write(self, batch: Batch, *, key: str | None = None) -> dict[str, int]:
        """Add a batch, all of it or nothing; it is on the disk when this returns.

        Parameters
        ----------
        batch : Batch
            Its skips are not stored.
        key : str, optional
            Name of this batch: a second write under the same key, by any process at any time, adds nothing.

        Returns
        -------
        dict of str to int
            What was added, by signal; zeros when the key was there already.

        Raises
        ------
        ShapeError
            If a shape in the batch is not well formed.
        StoreError
            If the store is read-only, the disk is full, or the catalog is damaged.
        """
        counts = write_batch(self.path, self._catalog, self._writer, self._refreshed, check_batch(batch), key)
        seal.seal_when_large(self.path, self._catalog, self._refreshed)
        return counts

    def has(self, key: str) -> bool:
        """Return whether a batch was written under this key."""
        with self._catalog.read() as connection:
            return connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() is not None

    def _refreshed(self) -> SeriesIndex:
        with self._catalog.read() as connection:
            self._index.refresh(connection)
        return self._index

    def _read(self, signal: str, start: int, end: int, work: Callable[[Snapshot], _T]) -> _T:
        """Run `work` on a snapshot; when a file it names is gone by then (sealed anew, retired), on a newer one."""
        for _ in range(10):
            with self._catalog.read() as connection:
                if signal == "metrics":
                    self._index.refresh(connection)
                snapshot = take(connection, self._hot, signal, start, end)
            try:
                return work(snapshot)
            except Gone as gone:
                missing = gone
        raise StoreError(f"segment {self.path / str(missing)} is missing: restore it from a copy.")

    def select(
        self, matchers: Sequence[Matcher], start: TimeLike | None = None, end: TimeLike | None = None
    ) -> Samples:
        """Return the samples of the matching series in [start, end), series without any left out.

        Of several samples of one series at one instant the one written last is returned.

        Raises
        ------
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        low, high = _window(start, end)

        def work(snapshot: Snapshot) -> Samples:
            ids = self._index.match(matchers)
            wanted = np.zeros(self._index.size + 1, bool)
            wanted[ids] = True
            parts = [(s.rank, self._chunks.get(s.files[0])) for s in snapshot.segments if _touches(s.series, ids)]
            hot = [metrics.HotSamples.of(h.seq, h.tables["metrics"]) for h in snapshot.hot]
            found, offsets, time, value = metrics.gather(parts, hot, wanted, low, high)
            kind, unit = self._index.describe(found)
            return Samples(self._index.frame(found), offsets, time.view("datetime64[ns]"), value, kind, unit)

        return self._read("metrics", low, high, work)

    def series(self, matchers: Sequence[Matcher] = ()) -> pd.DataFrame:
        """Return the matching series: one column per label, then `kind` and `unit`.

        A label that is itself called `kind` or `unit` shows as `kind_` or `unit_`.
        """
        index = self._refreshed()
        ids = index.match(matchers)
        frame = index.frame(ids).rename(columns={"kind": "kind_", "unit": "unit_"})
        kind, unit = index.describe(ids)
        return frame.assign(kind=pd.Series(kind, dtype="str"), unit=pd.Series(unit, dtype="str"))

    def rows(
        self,
        signal: str,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pd.DataFrame:
        """Return logs, spans or events with `time` in [start, end), as their shape.

        Parameters
        ----------
        signal : {"logs", "spans", "events"}
        start, end : time, optional
        columns : sequence of str, optional
            Attributes wanted; the required columns of the shape are always there, an attribute that no row has is all
            missing. All attributes by default.
        where : mapping of str to sequence of str, optional
            Only rows that have one of these values in each of these columns; numbers are compared as numbers.

        Raises
        ------
        InvalidInput
            If the signal is not one of the three.
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        check_one_of(signal, _ROWS, "signal")
        low, high = _window(start, end)
        wanted, conditions = rows.select(signal, columns), dict(where or {})

        def work(snapshot: Snapshot) -> pd.DataFrame:
            parts = [
                (s.rank, i, table)
                for i, s in enumerate(snapshot.segments)
                for table in rows.read_segment(self.path, s.files[0], low, high, wanted, conditions)
            ]
            parts += [
                (h.seq, h.id, rows.hot_rows(h.tables["rows"], low, high, wanted, conditions)) for h in snapshot.hot
            ]
            parts.sort(key=lambda part: part[:2])
            return frames.to_frame([table for _, _, table in parts if len(table)], signal, columns)

        return self._read(signal, low, high, work)

    def profiles(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> Profiles:
        """Return the profile samples with `time` in [start, end); `where` as in `rows`.

        Raises
        ------
        StoreError
            If a segment that is needed is damaged; the message names it.
        """
        low, high = _window(start, end)

        def work(snapshot: Snapshot) -> Profiles:
            parts = [(s.rank, profiles.read_segment(self.path, s.files)) for s in snapshot.segments]
            parts += [(h.seq, h.tables) for h in snapshot.hot]
            parts.sort(key=lambda part: part[0])
            found = [profiles.from_tables(tables, low, high, dict(where or {})) for _, tables in parts]
            return profiles.join([part for part in found if part is not None])

        return self._read("profiles", low, high, work)

    def extent(self, signal: str | None = None) -> tuple[np.datetime64, np.datetime64] | None:
        """Return the first and the last instant of one signal or of all, None when there is nothing.

        Both are instants of data: a half-open window that holds everything ends one nanosecond after the last.
        """
        if signal is not None:
            check_one_of(signal, SIGNALS, "signal")
        with self._catalog.read() as connection:
            low, high = connection.execute(
                "SELECT min(t_min), max(t_max) FROM (SELECT t_min, t_max FROM hot WHERE signal = ifnull(:s, signal)"
                " UNION ALL SELECT t_min, t_max FROM segments WHERE signal = ifnull(:s, signal) AND retired IS NULL)",
                {"s": signal},
            ).fetchone()
        return None if low is None else (np.datetime64(low, "ns"), np.datetime64(high, "ns"))

    def status(self) -> dict[str, Any]:
        """Return counts, bytes and time ranges as plain JSON types.

        `{"samples", "series", "bytes": {"total", "hot", "warm", "cold", "index"}, "signals": {signal: {"rows", "bytes",
        "segments", "start", "end"}}}`; times are ISO text or null, `index` is the catalog without its hot rows.
        """
        return verify.status(self._catalog)

    def seal(self) -> dict[str, int]:
        """Turn hot rows into segments and return how many rows, by signal.

        Each segment takes its rows in one transaction: of two processes sealing the same rows one wins, and nothing is
        lost or doubled.
        """
        return seal.seal(self.path, self._catalog, self._refreshed)

    def verify(self) -> list[str]:
        """Return one sentence for each damage found in segments, chunks, hot rows and catalog; [] when sound."""
        return verify.verify(self.path, self._catalog)


def _window(start: TimeLike | None, end: TimeLike | None) -> tuple[int, int]:
    """Return nanoseconds; an open side reaches as far as any row may."""
    low = np.iinfo(np.int64).min if start is None else int(parse_time(start).astype(np.int64))
    return int(low), MAX_NS if end is None else int(parse_time(end).astype(np.int64))


def _touches(span: tuple[int, int] | None, ids: np.ndarray) -> bool:
    """Return whether any of the sorted numbers lies in a closed range."""
    if span is None:
        return True
    at = int(np.searchsorted(ids, span[0]))
    return at < len(ids) and bool(ids[at] <= span[1])
