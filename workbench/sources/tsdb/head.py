"""What Prometheus has not yet made blocks of: its log, its log of late samples, and the chunks of its head.

References
----------
Prometheus, `tsdb/docs/format/head_chunks.md`, `tsdb/head_wal.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workbench.signals import Batch, Histograms
from workbench.sources.source import ReadOptions
from workbench.sources.tsdb import records
from workbench.sources.tsdb.assemble import assemble, group
from workbench.sources.tsdb.chunks import Found, decode
from workbench.sources.tsdb.histograms import decoded, logged
from workbench.sources.tsdb.records import Flat, LogSeries
from workbench.sources.tsdb.tombstones import Stones, bury
from workbench.sources.tsdb.wal import Log

__all__ = ["Head", "read_log"]

_Ints = npt.NDArray[np.int64]
_NONE = np.iinfo(np.int64).min
_BYTES = 2**24
"""About so many bytes of sample records make one batch."""

_HEAD = bytes.fromhex("0130bc9101")
_LATE = 0x80


def read_log(folder: Path, options: ReadOptions) -> Iterator[Batch]:
    """Yield everything in a folder that is a log: segments, and perhaps a checkpoint."""
    head = Head(Log(folder, folder.name), options)
    yield from head.samples(Log(folder, folder.name), _NONE)
    yield head.rest()


class Head:
    """The series of a log, and what is known of them; then samples of several places that name these series.

    Parameters
    ----------
    log : Log
        Is read once for series, deletions and metadata, so that they are known whole.
    options : ReadOptions
    """

    def __init__(self, log: Log, options: ReadOptions) -> None:
        self.options, self.skips = options, Counter[str]()
        self._log = log.name
        defined, deleted, described = [], [], []
        for part in log.records(self.skips):
            defined += [record for record in part if record[:1] == bytes([records.SERIES])]
            deleted += [record for record in part if record[:1] == bytes([records.TOMBSTONES])]
            described += [record for record in part if record[:1] == bytes([records.METADATA])]
            self._count_others(part)
        self.series: LogSeries = records.series(defined, options, self.skips)
        self.stones: Stones = records.stones(deleted, self.skips)
        self.stones[:, 0] = self.series.rows(self.stones[:, 0])
        self.damaged = 0
        self._until = np.full(len(self.series.table), _NONE)
        self._said = self._kinds(records.metadata(described, self.skips))

    def _count_others(self, part: list[bytes]) -> None:
        for number, count in Counter(record[0] if record else 255 for record in part).items():
            if number == records.EXEMPLARS:
                self.skips["record of exemplars in a log, which are not kept"] += count
            elif number not in records.KNOWN:
                self.skips[f"record of type {number} in a log, which is not known here"] += count

    def _kinds(self, kinds: records.Kinds) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Return kind and unit of every series of the table."""
        n = len(self.series.table)
        kind, unit = np.full(n, "unknown", object), np.full(n, "", object)
        refs = np.array([ref for ref in kinds if ref < 2**63], np.int64)
        for ref, row in zip(refs.tolist(), self.series.rows(refs).tolist(), strict=True):
            if row >= 0:
                kind[row], unit[row] = kinds[ref]
        return kind, unit

    def samples(self, log: Log, since: int) -> Iterator[Batch]:
        """Yield the samples of a log, about a million at a time.

        Parameters
        ----------
        log : Log
            The one of the series, or one beside it.
        since : int
            Samples before this instant, ms, are in blocks already and are passed over.
        """
        damage = Counter[str]() if log.name == self._log else self.skips
        for part in log.records(damage):
            chosen = [record for record in part if record[:1] and record[0] in records.SAMPLES]
            for some in _pieces(chosen):
                flat = records.samples(some, self.skips)
                rows = self.series.rows(flat.ref)
                if log.name == self._log:
                    flat, rows = self._beyond_chunks(flat, rows)
                yield from self._batches(rows, flat.time_ms, flat.value, since)
            chosen = [record for record in part if record[:1] and record[0] in records.HISTOGRAMS]
            for some in _pieces(chosen):
                refs, time_ms, pool = logged(some, self.skips)
                yield from self._batches(self.series.rows(refs), time_ms, np.zeros(len(refs)), since, pool)

    def _beyond_chunks(self, flat: Flat, rows: _Ints) -> tuple[Flat, _Ints]:
        """Return the samples, with the rows of their series, that no chunk of the head holds."""
        held = (rows >= 0) & (flat.time_ms <= self._until[rows])
        if not held.any():
            return flat, rows
        self.skips["sample of a log that a chunk of the head holds already"] += int(held.sum())
        return Flat(flat.ref[~held], flat.time_ms[~held], flat.value[~held]), rows[~held]

    def _batches(
        self,
        rows: _Ints,
        time_ms: _Ints,
        value: npt.NDArray[np.float64],
        since: int,
        pool: Histograms | None = None,
    ) -> Iterator[Batch]:
        unknown, old = rows < 0, time_ms < since
        if unknown.any():
            self.skips["sample of a series that no record names"] += int(unknown.sum())
        if (old & ~unknown).any():
            self.skips["sample of a log that a block holds already"] += int((old & ~unknown).sum())
        kept = ~(unknown | old)
        pool = None if pool is None else pool.take(np.flatnonzero(kept))
        grouped = group(rows[kept], time_ms[kept], value[kept], pool)
        grouped = bury(grouped, grouped.rows, self.stones)
        for shape in assemble(self.series.table, grouped, self.options, self.skips, self._said):
            yield Batch(metrics=shape, skips=self._taken())

    def chunks(self, folder: Path, since: int) -> Iterator[Batch]:
        """Yield the samples of the chunks of a head, one file at a time; arguments as of `samples`.

        Read before the log, they spare what it says of the same samples, as they do in Prometheus; not where any of them
        is damaged.
        """
        until, before = self._until.copy(), self.damaged
        for path in sorted(path for path in folder.glob("*") if path.name.isdigit()):
            data = path.read_bytes()
            found, refs, late = self._found(path, data)
            if found is None:
                continue
            histogram, got = decode(found, partial(self._lose, path))
            if histogram.any():  # their samples are in the log, too, and are taken from there
                decoded(found, histogram, partial(self._lose, path))
            counts = np.diff(got.offsets)
            rows = np.repeat(self.series.rows(refs), counts)
            in_order = np.repeat(~late, counts)
            known = in_order & (rows >= 0)
            np.maximum.at(until, rows[known], got.time_ms[known])
            for each, begin in ((in_order, since), (~in_order, _NONE)):
                yield from self._batches(rows[each], got.time_ms[each], got.value[each], begin)
        if self.damaged == before:
            self._until = until

    def _lose(self, path: Path, _: int, why: str) -> None:
        self.damaged += 1
        self.skips[f"chunk of {path.parent.name}/{path.name} {why}"] += 1

    def _found(self, path: Path, data: bytes) -> tuple[Found | None, _Ints, npt.NDArray[np.bool_]]:
        """Return the chunks of a file, the references of their series, and which came late."""
        from workbench.codecs.crc32c import TABLES
        from workbench.codecs.prometheus_chunk import padded
        from workbench.sources.tsdb.kernels import scan_head_chunks

        if data[:5] != _HEAD:
            if any(data):
                self.damaged += 1
                self.skips[f"{path.parent.name}/{path.name} does not begin as a file of head chunks does"] += 1
            return None, np.empty(0, np.int64), np.empty(0, bool)
        found = np.empty((len(data) // 30 + 1, 4), np.int64)
        n, at, cut = scan_head_chunks(np.frombuffer(data, np.uint8), 8, len(data), TABLES, found)
        if cut:
            self.damaged += 1
            self.skips[
                f"{path.parent.name}/{path.name} is damaged at byte {at}: the {len(data) - at} bytes from there on are"
                " dropped"
            ] += 1
        found = found[:n]
        late = (found[:, 1] > 0) & (found[:, 1] & _LATE > 0)
        encoding = np.where(late, found[:, 1] & ~_LATE, found[:, 1])
        return Found(padded(data), found[:, 2], found[:, 3], encoding), found[:, 0], late

    def rest(self) -> Batch:
        """Return what was counted since the last batch."""
        return Batch(skips=self._taken())

    def _taken(self) -> Counter[str]:
        taken = Counter(self.skips)
        self.skips.clear()
        return taken


def _pieces(found: list[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for record in found:
        piece.append(record)
        size += len(record)
        if size >= _BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
