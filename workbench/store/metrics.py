"""Samples on their way to segments and hot rows, and back: pieces of many sources decoded straight into one result."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workbench import codecs
from workbench.errors import StoreError
from workbench.store.chunks import ROW_GROUP, Flat, chunk_table
from workbench.store.files import File, day_of, open_file, write_file
from workbench.store.series import SeriesIndex

__all__ = ["ChunkCache", "Chunks", "HotSamples", "flat_of_hot", "gather", "hot_table", "write_segment"]

_Ints = npt.NDArray[np.int64]
_PLAIN = ["series_id", "time_group", "t_min", "t_max", "count", "time_codec", "codec"]
_FLOATS = ("sum", "min", "max", "first", "last", "increase")
_PACKED = {
    **dict.fromkeys(_FLOATS, "BYTE_STREAM_SPLIT"),
    **dict.fromkeys(("series_id", "t_first", "t_last"), "DELTA_BINARY_PACKED"),
}


def hot_table(ids: _Ints, offsets: _Ints, time: _Ints, value: npt.NDArray[np.float64]) -> pa.Table:
    """Return one row per series (`series_id`, `time` and `value` lists), series without samples left out."""
    kept = np.flatnonzero(np.diff(offsets))
    edges = pa.array(np.append(offsets[kept], offsets[-1]).astype(np.int32))
    return pa.table(
        {
            "series_id": ids[kept],
            "time": pa.ListArray.from_arrays(edges, pa.array(time)),
            "value": pa.ListArray.from_arrays(edges, pa.array(value)),
        }
    )


@dataclass(frozen=True)
class HotSamples:
    """One hot row unpacked: series `i` of `ids` owns `offsets[i]` to `offsets[i + 1]`; `rank` is its write number."""

    rank: int
    ids: _Ints
    offsets: _Ints
    time: _Ints
    value: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rank: int, table: pa.Table) -> HotSamples:
        """Return the arrays of a hot table, not copied."""
        time, value = table["time"].combine_chunks(), table["value"].combine_chunks()
        if isinstance(time, pa.ChunkedArray):
            time, value = time.chunk(0), value.chunk(0)
        offsets = time.offsets.to_numpy().astype(np.int64)
        return cls(rank, table["series_id"].to_numpy(), offsets, time.values.to_numpy(), value.values.to_numpy())


def flat_of_hot(rows: Sequence[HotSamples]) -> Flat:
    """Return the samples of hot rows, in the order they were written."""
    return Flat(
        np.concatenate([np.repeat(r.ids, np.diff(r.offsets)) for r in rows]),
        np.concatenate([r.time for r in rows]),
        np.concatenate([r.value for r in rows]),
    )


def write_segment(
    root: Path, flat: Flat, index: SeriesIndex, meta: dict[str, str]
) -> tuple[dict[str, Any], list[File]]:
    """Write sorted samples as a durable segment; return its catalog row (without write numbers) and its files."""
    table = chunk_table(flat)
    ids = np.unique(flat.series)
    at = np.searchsorted(ids, table["series_id"].to_numpy())
    kind, unit = index.describe(ids)
    for name, values in (("labels", index.texts(ids)), ("kind", kind), ("unit", unit)):
        table = table.append_column(name, pa.array(values, pa.string()).take(pa.array(at)))
    row: dict[str, Any] = {
        "signal": "metrics",
        "t_min": int(flat.time.min()),
        "t_max": int(flat.time.max()),
        "rows": len(flat.time),
        "series_min": int(ids[0]),
        "series_max": int(ids[-1]),
    }
    plain = {"blob": "none", "time_blob": "none"}
    file = write_file(
        root,
        f"metrics/{day_of(row['t_min'])}",
        "chunks",
        table.replace_schema_metadata({**meta, **{k: str(v) for k, v in row.items()}}),
        row_group_size=ROW_GROUP,
        column_encoding=_PACKED,
        use_dictionary=["labels", "kind", "unit", "time_group", "t_min", "t_max", "count", "time_codec", "codec"],
        compression={name: plain.get(name, "zstd") for name in table.column_names},
    )
    return row, [file]


class Chunks:
    """The chunk rows of one segment file: plain columns in memory, blobs read by row group when first asked for."""

    def __init__(self, root: Path, file: File) -> None:
        self.name = str(root / file.path)
        self._root, self._file = root, file
        table = self._read(lambda parquet: parquet.read(columns=_PLAIN))
        self.series, self.t_min, self.t_max = (table[n].to_numpy() for n in ("series_id", "t_min", "t_max"))
        self.count = table["count"].to_numpy().astype(np.int64)
        self._group, self._codec = table["time_group"].to_numpy(), table["codec"].to_numpy()
        self._time_codec = table["time_codec"].fill_null(0).to_numpy()
        self._blobs: dict[int, tuple[list[bytes], dict[int, tuple[int, bytes]]]] = {}
        self.bytes = file.bytes

    def _read(self, work: Callable[[pq.ParquetFile], pa.Table]) -> pa.Table:
        try:
            with open_file(self._root, self._file) as parquet:
                return work(parquet)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"segment {self.name} cannot be read ({error}): restore it from a copy.") from error

    def _block(self, block: int) -> tuple[list[bytes], dict[int, tuple[int, bytes]]]:
        """Return the value blobs of one row group, and codec and blob of the timestamps of each group in it."""
        if block not in self._blobs:
            table = self._read(lambda parquet: parquet.read_row_group(block, columns=["time_blob", "blob"]))
            first = block * ROW_GROUP
            times = {
                int(self._group[first + i]): (int(self._time_codec[first + i]), blob)
                for i, blob in enumerate(table["time_blob"].to_pylist())
                if blob is not None
            }
            self._blobs[block] = table["blob"].to_pylist(), times
        return self._blobs[block]

    def rows(self, wanted: npt.NDArray[np.bool_], start: int, end: int) -> npt.NDArray[np.intp]:
        """Return the rows of the series marked in `wanted` (by series number) that may hold samples in [start, end)."""
        known = self.series < len(wanted)
        return np.flatnonzero(
            known & wanted[np.where(known, self.series, 0)] & (self.t_max >= start) & (self.t_min < end)
        )

    def fill(self, rows: npt.NDArray[np.intp], at: _Ints, time: _Ints, value: npt.NDArray[np.float64]) -> None:
        """Decode chunk `rows[i]` into `time` and `value` from position `at[i]` on.

        Raises
        ------
        StoreError
            If a blob does not decode to what its row says; the message names the segment.
        """
        done: dict[int, tuple[int, int]] = {}
        work = zip(rows.tolist(), at.tolist(), self.count[rows].tolist(), self._group[rows].tolist(), strict=True)
        try:
            for row, a, n, group in work:
                block, i = divmod(row, ROW_GROUP)
                blobs, times = self._block(block)
                codecs.decode_into(int(self._codec[row]), blobs[i], value[a : a + n])
                if group in done and done[group][1] == n:
                    b = done[group][0]
                    time[a : a + n] = time[b : b + n]
                else:
                    codecs.decode_into(*times[group], time[a : a + n])
                    done[group] = a, n
        except (ValueError, KeyError) as error:
            raise StoreError(
                f"segment {self.name} holds a chunk that does not decode ({error}): restore it."
            ) from error
        if (time[at] != self.t_min[rows]).any() or (time[at + self.count[rows] - 1] != self.t_max[rows]).any():
            raise StoreError(
                f"segment {self.name} holds timestamps that disagree with its rows: restore it from a copy."
            )


class ChunkCache:
    """The chunk rows read last, up to a number of bytes; segments never change, so nothing in it can be stale."""

    def __init__(self, root: Path, limit: int = 256 * 2**20) -> None:
        self._root, self._limit = root, limit
        self._held: OrderedDict[str, Chunks] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, file: File) -> Chunks:
        """Return the chunk rows of a segment file."""
        chunks = self._held.get(file.path) or Chunks(self._root, file)
        with self._lock:
            self._held[file.path] = chunks
            self._held.move_to_end(file.path)
            while len(self._held) > 1 and sum(c.bytes for c in self._held.values()) > self._limit:
                self._held.popitem(last=False)
        return chunks


@dataclass(frozen=True)
class _Pieces:
    """Where samples come from: runs of one series and one write each, from chunks and from hot rows."""

    series: _Ints
    t_min: _Ints
    t_max: _Ints
    count: _Ints
    rank: _Ints

    @classmethod
    def of_chunks(cls, chunks: Chunks, rows: npt.NDArray[np.intp], rank: int) -> _Pieces:
        ranks = np.full(len(rows), rank, np.int64)
        return cls(chunks.series[rows], chunks.t_min[rows], chunks.t_max[rows], chunks.count[rows], ranks)

    @classmethod
    def of_hot(cls, hot: HotSamples, kept: npt.NDArray[np.intp]) -> _Pieces:
        begin, end = hot.offsets[kept], hot.offsets[kept + 1]
        ranks = np.full(len(kept), hot.rank, np.int64)
        return cls(hot.ids[kept], hot.time[begin], hot.time[end - 1], end - begin, ranks)

    @classmethod
    def joined(cls, parts: Sequence[_Pieces]) -> _Pieces:
        names = ("series", "t_min", "t_max", "count", "rank")
        return cls(*(np.concatenate([getattr(p, n) for p in parts] or [np.empty(0, np.int64)]) for n in names))

    def take(self, order: npt.NDArray[np.intp]) -> _Pieces:
        return _Pieces(self.series[order], self.t_min[order], self.t_max[order], self.count[order], self.rank[order])


def gather(
    segments: Sequence[tuple[int, Chunks]],
    hot: Sequence[HotSamples],
    wanted: npt.NDArray[np.bool_],
    start: int,
    end: int,
) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
    """Return the samples of some series in [start, end), sorted; of equal (series, time) the latest write wins.

    Parameters
    ----------
    segments : sequence of (rank, Chunks)
        `rank` is the write number that decides between repetitions.
    hot : sequence of HotSamples
    wanted : ndarray of bool
        By series number.
    start, end : int
        Nanoseconds.

    Returns
    -------
    series : ndarray of int64, shape (n,)
        Numbers of the series that have samples, increasing.
    offsets : ndarray of int64, shape (n + 1,)
    time, value : ndarray of int64 and float64, shape (m,)
    """
    rows = [chunks.rows(wanted, start, end) for _, chunks in segments]
    kept = [np.flatnonzero(wanted[h.ids]) for h in hot]
    parts = [_Pieces.of_chunks(c, r, rank) for (rank, c), r in zip(segments, rows, strict=True)]
    parts += [_Pieces.of_hot(h, k) for h, k in zip(hot, kept, strict=True)]
    pieces = _Pieces.joined(parts)
    order = np.lexsort((pieces.rank, pieces.t_min, pieces.series))
    at = np.empty(len(order), np.int64)
    at[order] = np.cumsum(pieces.count[order]) - pieces.count[order]
    total = int(pieces.count.sum())
    time, value = np.empty(total, np.int64), np.empty(total)
    where = np.split(at, np.cumsum([len(p.series) for p in parts], dtype=np.int64))[: len(parts)]
    for (_, chunks), r, a in zip(segments, rows, where, strict=False):
        chunks.fill(r, a, time, value)
    for h, k, a in zip(hot, kept, where[len(segments) :], strict=True):
        n = np.diff(h.offsets)[k]
        inside = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        source, target = np.repeat(h.offsets[k], n) + inside, np.repeat(a, n) + inside
        time[target], value[target] = h.time[source], h.value[source]
    return _finish(pieces.take(order), time, value, start, end)


def _finish(
    pieces: _Pieces, time: _Ints, value: npt.NDArray[np.float64], start: int, end: int
) -> tuple[_Ints, _Ints, _Ints, npt.NDArray[np.float64]]:
    """Resolve repetitions and cut to the window; only samples that may be concerned are looked at one by one."""
    keep = np.ones(0, bool)
    clash = (np.diff(pieces.series) == 0) & (pieces.t_max[:-1] >= pieces.t_min[1:])
    if clash.any():
        mixed = np.isin(pieces.series, pieces.series[1:][clash])
        keep = _latest(pieces, mixed, time, value)
    if len(pieces.series) and (pieces.t_min.min() < start or pieces.t_max.max() >= end):
        inside = (time >= start) & (time < end)
        keep = keep & inside if len(keep) else inside
    counts = pieces.count
    if len(keep):
        seen = np.concatenate([[0], np.cumsum(keep)])
        edges = np.concatenate([[0], np.cumsum(counts)])
        counts = seen[edges[1:]] - seen[edges[:-1]]
        time, value = time[keep], value[keep]
    series, first = np.unique(pieces.series[counts > 0], return_index=True)
    sums = np.add.reduceat(counts[counts > 0], first) if len(first) else first
    return series, np.concatenate([[0], np.cumsum(sums)]).astype(np.int64), time, value


def _latest(
    pieces: _Pieces, mixed: npt.NDArray[np.bool_], time: _Ints, value: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Sort the samples of `mixed` pieces in place and return which samples stay: of equal instants the last written."""
    at = np.flatnonzero(np.repeat(mixed, pieces.count))
    counts = pieces.count[mixed]
    series, rank = np.repeat(pieces.series[mixed], counts), np.repeat(pieces.rank[mixed], counts)
    order = np.lexsort((rank, time[at], series))
    time[at], value[at] = time[at][order], value[at][order]
    keep = np.ones(len(time), bool)
    keep[at[:-1]] = (np.diff(series) != 0) | (np.diff(time[at]) != 0)
    return keep
