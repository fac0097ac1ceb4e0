"""Reading across segments, hot rows and tiers: one snapshot of the catalog, then only the bytes that are needed.

A snapshot is taken in one short transaction; when a file it names is gone by the time it is read (compacted, retired),
a newer snapshot is taken and the work done again.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import LimitExceeded, StoreError, WorkbenchWarning
from workbench.signals import Matcher, Profiles, Samples
from workbench.store import dense, frames, metrics, profiles, rows
from workbench.store.catalog import Catalog
from workbench.store.files import Gone
from workbench.store.gather import gather
from workbench.store.hot_samples import HotSamples
from workbench.store.native import HIDDEN, MARK, PART, asked, visible
from workbench.store.places import Place
from workbench.store.series import SeriesIndex
from workbench.store.snapshot import HotCache, Segment, Snapshot, take
from workbench.store.tier import Tiers

__all__ = ["Plan", "Reader"]

_T = TypeVar("_T")
_Ints = npt.NDArray[np.int64]
_TRIES = 10

Check = Callable[[int, int], None]
"""Told a number of series and of samples; raises where they are too many."""


class Plan(NamedTuple):
    """What a question about samples needs: series numbers, segments with their ranks, hot rows, and how many series."""

    ids: _Ints
    chunks: list[tuple[int, metrics.Chunks]]
    hot: list[HotSamples]
    size: int

    def holding(self) -> _Ints:
        """Return the series that any of it has chunks or hot samples of."""
        held = [chunks.index.series for _, chunks in self.chunks] + [hot.ids for hot in self.hot]
        return np.intersect1d(self.ids, np.concatenate([np.empty(0, np.int64), *held]))


class Reader:
    """Everything a process remembers between reads of one store: series, hot rows, chunk indexes.

    Parameters
    ----------
    catalog : Catalog
    places : Tiers
        Where the files of each tier lie.
    """

    def __init__(self, catalog: Catalog, places: Tiers) -> None:
        self.index = SeriesIndex(catalog)
        self.places = places
        self._catalog = catalog
        self._hot = HotCache()
        self._chunks = metrics.ChunkCache()
        self._hidden = (-1, np.empty(0, np.int64))

    def refreshed(self) -> SeriesIndex:
        """Return the series as they are now."""
        with self._catalog.read() as connection:
            self.index.refresh(connection)
        return self.index

    def place(self, segment: Segment) -> Place:
        """Return where the files of a segment lie.

        Raises
        ------
        StoreError
            If its tier is not in reach.
        """
        found = self.places.get(segment.tier)
        if found is None:
            raise StoreError(
                f"segment {segment.files[0].path} is in the {segment.tier} tier, whose place is not known."
            )
        return found

    def _again(self, work: Callable[[], _T]) -> _T:
        """Run `work`, and once more with a newer snapshot whenever a file has gone since."""
        for _ in range(_TRIES):
            try:
                return work()
            except Gone as gone:
                missing = gone
        raise StoreError(f"segment {missing} is missing: restore it from a copy.")

    def _snapshot(self, signal: str, start: int, end: int) -> Snapshot:
        with self._catalog.read() as connection:
            self.places.look(connection)
            return take(connection, self._hot, signal, start, end)

    def _chosen(
        self, matchers: Sequence[Matcher], start: int, end: int
    ) -> tuple[_Ints, list[tuple[int, metrics.Chunks]], list[HotSamples]]:
        """Return the matching series, and the segments and hot rows that may hold samples of them in [start, end)."""
        with self._catalog.read() as connection:
            self.index.refresh(connection)
            self.places.look(connection)
            snapshot = take(connection, self._hot, "metrics", start, end)
        ids = self.index.match(matchers)
        segments = [s for s in snapshot.segments if _touches(s.series, ids)]
        packed = self.packed(segments)
        chunks = [(s.rank, self.chunks(s, packed.get(s.id))) for s in segments]
        return ids, chunks, [h.samples for h in snapshot.hot]

    def hidden(self) -> _Ints:
        """Return the numbers of the series that are parts of native histograms, as of the last look at the index."""
        size, found = self._hidden
        if size != self.index.size:
            size = self.index.size
            found = self.index.match([HIDDEN])
            self._hidden = size, found[found <= size]
        return self._hidden[1]

    def count(self, matchers: Sequence[Matcher], start: int, end: int) -> tuple[int, int]:
        """Return the number of matching series in [start, end), and at most how many numbers they have there."""
        return self._counted(*self._again(lambda: self._chosen(asked(matchers), start, end)), start, end)

    def _check(
        self,
        check: Check,
        ids: _Ints,
        chunks: Sequence[tuple[int, metrics.Chunks]],
        hot: Sequence[HotSamples],
        start: int,
        end: int,
    ) -> None:
        """Tell what is held at most, which is known at once, and what `count` says when that is too much."""
        try:
            check(len(ids), sum(part.samples for _, part in chunks) + sum(len(row.value) for row in hot))
        except LimitExceeded:
            check(*self._counted(ids, chunks, hot, start, end))

    def _counted(
        self, ids: _Ints, chunks: Sequence[tuple[int, metrics.Chunks]], hot: Sequence[HotSamples], start: int, end: int
    ) -> tuple[int, int]:
        held, total = np.zeros(self.index.size + 1, bool), 0
        mask = np.zeros_like(held)
        mask[ids] = True
        for _, part in chunks:
            rows = part.index.rows(ids, mask, start, end)
            low, high = part.within(rows, start, end)
            held[part.index.series[rows[low < high]]] = True
            total += int((high - low).sum())
        for row in hot:
            kept, n = _hot_count(row, mask, start, end)
            held[kept] = True
            total += n
        held[self.hidden()] = False
        return int(np.count_nonzero(held)), total

    def chunks(self, segment: Segment, packed: bytes | None) -> metrics.Chunks:
        """Return the chunks of a metrics segment; `packed` as `packed()` returned it."""
        return self._chunks.get(self.place(segment), segment.files[0], packed)

    def plan(self, matchers: Sequence[Matcher], start: int, end: int) -> Plan:
        """Return what would have to be read for the numbers of the matching series in [start, end)."""
        ids, chunks, hot = self._again(lambda: self._chosen(visible(matchers), start, end))
        return Plan(ids, chunks, hot, self.index.size)

    def packed(self, segments: Sequence[Segment]) -> dict[int, bytes]:
        """Return the chunk indexes this process does not have yet; a damaged one is left out, the file has it too."""
        new = [s.id for s in segments if (self.place(s).url, s.files[0].path) not in self._chunks]
        found: dict[int, bytes] = {}
        for at in range(0, len(new), 500):
            part = new[at : at + 500]
            marks = ", ".join("?" * len(part))
            query = f"SELECT segment, blob, crc32 FROM chunks WHERE segment IN ({marks})"
            with self._catalog.read() as connection:
                rows = connection.execute(query, part).fetchall()
            found |= {int(number): bytes(blob) for number, blob, crc32 in rows if zlib.crc32(blob) == crc32}
        return found

    def _damaged(self, policy: str) -> Callable[[str], None]:
        def told(sentence: str) -> None:
            if policy == "raise":
                raise StoreError(sentence)
            warnings.warn(f"{sentence} It is left out.", WorkbenchWarning, stacklevel=2)

        return told

    def flat(
        self, matchers: Sequence[Matcher], start: int, end: int, damaged: str = "raise", check: Check | None = None
    ) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
        """Return series numbers, offsets, times and values of the matching series in [start, end); see `gather`.

        `check` is told how many series and numbers these are at most before any is read; when it raises
        `LimitExceeded`, once more and more closely.
        """

        def work() -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
            ids, chunks, hot = self._chosen(matchers, start, end)
            if check is not None:
                self._check(check, ids, chunks, hot, start, end)
            return gather(chunks, hot, ids, self.index.size, start, end, self._damaged(damaged), self.index.texts)

        return self._again(work)

    def samples(
        self,
        matchers: Sequence[Matcher],
        start: int,
        end: int,
        damaged: str = "raise",
        check: Check | None = None,
    ) -> Samples:
        """Return the samples of the matching series in [start, end), native histograms put together again."""
        found, offsets, time, value = self.flat(asked(matchers), start, end, damaged, check)
        kind, unit = self.index.describe(found)
        samples = Samples(self.index.frame(found), offsets, time.view("datetime64[ns]"), value, kind, unit)
        if not len(self.hidden()) or PART not in samples.labels.columns:
            return samples
        from workbench.store.native_join import join

        return join(samples)

    def dense(
        self, matchers: Sequence[Matcher], start: int, step: int, n: int, damaged: str = "raise"
    ) -> tuple[_Ints, npt.NDArray[np.float64]]:
        """Return series numbers and, per series, the last sample of each of n steps; see `dense.fill`."""
        low, high = start - step + 1, start + (n - 1) * step + 1

        def work() -> tuple[_Ints, npt.NDArray[np.float64]]:
            ids, chunks, hot = self._chosen(visible(matchers), low, high)
            made = dense.fill(chunks, hot, ids, self.index.size, start, step, n)
            if made is not None:
                return made
            told = self._damaged(damaged)
            flat = gather(chunks, hot, ids, self.index.size, low, high, told, self.index.texts)
            return flat[0], dense.of_flat(*flat[1:], start, step, n)

        found, values = self._again(work)
        return _numbers(found, values) if len(self.hidden()) else (found, values)

    def rows(
        self, signal: str, start: int, end: int, columns: Sequence[str] | None, where: Mapping[str, Sequence[str]]
    ) -> pd.DataFrame:
        """Return the matching rows of logs, spans or events as their shape."""
        wanted = rows.select(signal, columns)

        def work() -> pd.DataFrame:
            snapshot = self._snapshot(signal, start, end)
            parts = [
                (s.rank, i, table)
                for i, s in enumerate(snapshot.segments)
                for table in rows.read_segment(self.place(s), s.files[0], start, end, wanted, where)
            ]
            parts += [(h.seq, h.id, rows.hot_rows(h.tables["rows"], start, end, wanted, where)) for h in snapshot.hot]
            parts.sort(key=lambda part: part[:2])
            return frames.to_frame([table for _, _, table in parts if len(table)], signal, columns)

        return self._again(work)

    def profiles(self, start: int, end: int, where: Mapping[str, Sequence[str]]) -> Profiles:
        """Return the matching profile samples."""

        def work() -> Profiles:
            snapshot = self._snapshot("profiles", start, end)
            parts = [(s.rank, profiles.read_segment(self.place(s), s.files)) for s in snapshot.segments]
            parts += [(h.seq, h.tables) for h in snapshot.hot]
            parts.sort(key=lambda part: part[0])
            found = [profiles.from_tables(tables, start, end, where) for _, tables in parts]
            return profiles.join([part for part in found if part is not None])

        return self._again(work)


def _numbers(found: _Ints, values: npt.NDArray[np.float64]) -> tuple[_Ints, npt.NDArray[np.float64]]:
    """Return series on a grid without native histograms, which are no numbers, and without series that have no others."""
    marked = values.view(np.uint64) == MARK
    values[marked] = np.nan
    some = ~(marked.any(axis=1) & np.isnan(values).all(axis=1))
    return found[some], values[some]


def _hot_count(hot: HotSamples, wanted: npt.NDArray[np.bool_], start: int, end: int) -> tuple[_Ints, int]:
    """Return which series have samples in a hot row in [start, end), and how many, at most."""
    rows = np.flatnonzero(wanted[hot.ids])
    if not hot.shared:
        return hot.ids[rows], int(np.diff(hot.offsets)[rows].sum())
    low, high = np.searchsorted(hot.instants, (start, end))
    return hot.ids[rows[: len(rows) * (low < high)]], len(rows) * int(high - low)


def _touches(span: tuple[int, int] | None, ids: _Ints) -> bool:
    """Return whether any of the sorted numbers lies in a closed range."""
    if span is None:
        return True
    at = int(np.searchsorted(ids, span[0]))
    return at < len(ids) and bool(ids[at] <= span[1])
