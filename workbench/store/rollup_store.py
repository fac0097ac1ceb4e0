"""Rollups of one store: made from what the store holds, and asked together with what they do not cover."""

from __future__ import annotations

import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.signals import Matcher
from workbench.store import rollup_read
from workbench.store.catalog import Catalog
from workbench.store.files import Gone
from workbench.store.gather import gather
from workbench.store.hot_samples import HotSamples
from workbench.store.metrics import Chunks
from workbench.store.native import HIDDEN, visible
from workbench.store.places import Folder
from workbench.store.reader import Reader
from workbench.store.rollup_build import RollupContext, build
from workbench.store.rollup_check import problems
from workbench.store.rollup_file import RollupFile
from workbench.store.rollup_index import RollupIndex
from workbench.store.rollup_matrix import Matrix, matrices
from workbench.store.rollup_merge import merge
from workbench.store.rollup_plan import RollupSegment, load_raw_spans, load_rollups
from workbench.store.rollup_segment import SIGNAL, index_of_file
from workbench.store.rollup_tiles import Grid
from workbench.store.snapshot import HotCache, Snapshot, take
from workbench.store.write import META

__all__ = ["Rollups"]

_T = TypeVar("_T")
_TRIES = 10
_HELD = 256 * 2**20

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Flat = tuple[_Ints, _Ints, _Ints, _Floats]


class Rollups:
    """Makes, joins and reads the rollups of a store.

    Parameters
    ----------
    place : Folder
        The store's own folder.
    catalog : Catalog
    reader : Reader
        Of the same store.
    """

    def __init__(self, place: Folder, catalog: Catalog, reader: Reader) -> None:
        self._place, self._catalog, self._reader = place, catalog, reader
        self._hot = HotCache()
        self._files: OrderedDict[tuple[int, str], RollupFile] = OrderedDict()
        self._lock = threading.Lock()

    def update(self, now: int | None = None) -> dict[str, int]:
        """Roll up the days that are over, and join the rollups of periods that are over.

        Parameters
        ----------
        now : int, optional
            Nanoseconds.

        Returns
        -------
        dict of str to int
            `days` rolled up and `joined` segments replaced, by this process.

        Raises
        ------
        StoreError
            If samples that are needed are damaged, or the disk refuses.
        """
        index = self._reader.refreshed()
        with self._catalog.read() as transaction:
            self._reader.places.look(transaction)
        context = RollupContext(self._place, self._catalog, index, index.size, self._now, META, index.match([HIDDEN]))
        days = self._again(lambda: build(context, now))
        return {"days": days, "joined": self._again(lambda: merge(context, self.open, now))}

    def ask(
        self,
        matchers: Sequence[Matcher],
        function: str,
        span: tuple[int, int, int],
        window: int | None = None,
        q: float | None = None,
    ) -> tuple[_Ints, _Floats, list[dict[str, Any]]]:
        """Return the matching series with any number in any window, and their values; see `rollup_read.read`.

        Returns
        -------
        series : ndarray of int64, shape (n,)
        values : ndarray of float64, shape (n, k)
        used : list of dict
        """

        def work() -> tuple[_Ints, _Floats, list[dict[str, Any]]]:
            start, end, step = span
            grid = Grid(start, end, step, step if window is None else window)
            with self._catalog.read() as transaction:
                self._reader.index.refresh(transaction)
                self._reader.places.look(transaction)
                snapshot = take(transaction, self._hot, "metrics", grid.begin + 1, grid.end + 1)
                rollups = load_rollups(transaction, grid.begin + 1, grid.end)
                raw, bounds = load_raw_spans(transaction), _bounds(transaction)
            ids = self._reader.index.match(visible(matchers))
            view = _View(self._reader, snapshot, bounds)
            source = rollup_read.RollupSource(rollups, raw, self.open, view.samples, view.matrices)
            values, used = rollup_read.read(source, ids, function, span, window, q)
            some = _any(values)
            return (ids, values, used) if some.all() else (ids[some], values[some], used)

        return self._again(work)

    def forget(self, segments: Sequence[int]) -> None:
        """Retire rollups, as damaged ones whose samples are still there: the next `update` makes them anew.

        Parameters
        ----------
        segments : sequence of int
            Ids of rollups in the catalog; others are left alone.
        """
        now = time.time_ns()
        with self._catalog.write() as transaction:
            transaction.executemany(
                "UPDATE segments SET retired = ? WHERE id = ? AND signal = ? AND retired IS NULL",
                [(now, number, SIGNAL) for number in segments],
            )

    def problems(self) -> list[str]:
        """Return one sentence for each damage in a rollup, naming series and days; [] when all are sound."""
        with self._catalog.read() as transaction:
            self._reader.places.look(transaction)
            live = load_rollups(transaction, -(2**63), 2**63 - 1)
        found: list[str] = []
        for segment in live:
            try:
                found += problems(self.open(segment))
            except Gone:  # retired since, or missing: `verify` has looked at the files of all segments
                continue
            except StoreError as error:
                found.append(str(error))
        return found

    def open(self, segment: RollupSegment) -> RollupFile:
        """Return a rollup ready to be read, its index taken from the catalog, or from the file where that is damaged.

        Raises
        ------
        StoreError
            If its tier is not in reach, or catalog and file are damaged.
        Gone
            If it has been removed since the caller's snapshot.
        """
        key = segment.id, segment.tier
        with self._lock:
            held = self._files.get(key)
            if held is not None:
                self._files.move_to_end(key)
                return held
        place = self._reader.places.get(segment.tier)
        if place is None:
            raise StoreError(f"rollup {segment.file.path} is in the {segment.tier} tier, whose place is not known.")
        with self._catalog.read() as transaction:
            row = transaction.execute("SELECT blob, crc32 FROM chunks WHERE segment = ?", (segment.id,)).fetchone()
        index = None
        if row is not None and zlib.crc32(row[0]) == row[1]:
            try:
                index = RollupIndex.unpack(bytes(row[0]))
            except ValueError:
                index = None  # the file says the same
        made = RollupFile(place, segment.file, segment.step, index or index_of_file(place, segment.file))
        with self._lock:
            self._files[key] = made
            while len(self._files) > 1 and sum(f.index.nbytes for f in self._files.values()) > _HELD:
                self._files.popitem(last=False)
        return made

    def _again(self, work: Callable[[], _T]) -> _T:
        """Run `work`, and once more with a newer snapshot whenever a file has gone since."""
        for _ in range(_TRIES):
            try:
                return work()
            except Gone as gone:
                missing = gone
        raise StoreError(f"segment {missing} is missing: restore it from a copy.")

    def _now(self, ids: _Ints, start: int, end: int) -> _Flat:
        """Return the samples of some series as they are now."""
        with self._catalog.read() as transaction:
            self._reader.places.look(transaction)
            snapshot = take(transaction, self._hot, "metrics", start, end)
            bounds = _bounds(transaction)
        return _View(self._reader, snapshot, bounds).samples(ids, start, end)


class _View:
    """Samples of a snapshot; chunk indexes are loaded only for days that are asked for."""

    def __init__(self, reader: Reader, snapshot: Snapshot, bounds: Mapping[int, tuple[int, int]]) -> None:
        self._reader, self._segments, self._bounds = reader, snapshot.segments, bounds
        self._hot = [(int(h.samples.time.min()), int(h.samples.time.max()), h.samples) for h in snapshot.hot]

    def _near(self, ids: _Ints, start: int, end: int) -> tuple[list[tuple[int, Chunks]], list[HotSamples]]:
        near = [s for s in self._segments if self._bounds[s.id][0] < end and self._bounds[s.id][1] >= start]
        near = [s for s in near if s.series is None or np.diff(np.searchsorted(ids, (s.series[0], s.series[1] + 1)))[0]]
        packed = self._reader.packed(near)
        chunks = [(s.rank, self._reader.chunks(s, packed.get(s.id))) for s in near]
        return chunks, [h for low, high, h in self._hot if low < end and high >= start]

    def samples(self, ids: _Ints, start: int, end: int) -> _Flat:
        """Return the samples of some series in [start, end), sorted."""
        chunks, hot = self._near(ids, start, end)
        index = self._reader.index
        return gather(chunks, hot, ids, index.size, start, end, _refuse, index.texts)

    def matrices(self, ids: _Ints, start: int, end: int) -> tuple[_Ints, Iterable[Matrix]]:
        """Return the series that `samples` has to be asked for, and the samples of the others as matrices."""
        chunks, hot = self._near(ids, start, end)
        index = self._reader.index

        def damaged(chunks: Chunks, rows: npt.NDArray[np.intp]) -> None:
            _refuse(chunks.damaged(rows, index.texts))

        return matrices([c for _, c in chunks], hot, ids, index.size, (start, end), damaged)


def _bounds(transaction: Any) -> dict[int, tuple[int, int]]:
    """Return first and last instant of each live metrics segment, by id."""
    rows = transaction.execute("SELECT id, t_min, t_max FROM segments WHERE signal = 'metrics' AND retired IS NULL")
    return {number: (t_min, t_max) for number, t_min, t_max in rows.fetchall()}


def _any(values: _Floats) -> npt.NDArray[np.bool_]:
    """Return which rows hold a number; most show it in a few columns."""
    found: npt.NDArray[np.bool_] = np.any(~np.isnan(values[:, :: max(1, values.shape[1] // 16)]), axis=1)
    rest = np.flatnonzero(~found)
    found[rest] = np.any(~np.isnan(values[rest]), axis=1)
    return found


def _refuse(sentence: str) -> None:
    raise StoreError(sentence)
