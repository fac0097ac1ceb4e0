"""Samples on their way to segments and hot rows, and back: pieces of many sources decoded straight into one result."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench import codecs
from workbench.errors import StoreError
from workbench.store.chunks import ROW_GROUP, Flat, chunk_table
from workbench.store.files import File, open_file, write_file
from workbench.store.series import SeriesIndex

__all__ = ["ChunkCache", "Chunks", "HotSamples", "flat_of_hot", "gather", "hot_table", "write_segment"]

_Ints = npt.NDArray[np.int64]
_READ = ["series_id", "time_group", "t_min", "t_max", "count", "time_codec", "time_blob", "codec", "blob"]
_PACKED = {name: "BYTE_STREAM_SPLIT" for name in ("sum", "min", "max", "first", "last", "increase")} | {
    name: "DELTA_BINARY_PACKED" for name in ("series_id", "t_first", "t_last")
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
        encoded = pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), pa.array(values, pa.string()))
        table = table.append_column(name, encoded)
    row = {
        "signal": "metrics", "t_min": int(flat.time.min()), "t_max": int(flat.time.max()), "rows": len(flat.time),
        "series_min": int(ids[0]), "series_max": int(ids[-1]),
    }  # fmt: skip
    day = str(np.datetime64(row["t_min"], "ns").astype("datetime64[D]"))
    plain = {"blob": "none", "time_blob": "none"}
    file = write_file(
        root, f"metrics/{day}", "chunks", table.replace_schema_metadata({**meta, **{k: str(v) for k, v in row.items()}}),
        row_group_size=ROW_GROUP, column_encoding=_PACKED, compression_level=None,
        use_dictionary=["labels", "kind", "unit", "time_group", "t_min", "t_max", "count", "time_codec", "codec"],
        compression={name: plain.get(name, "zstd") for name in table.column_names},
    )  # fmt: skip
    return row, [file]


class Chunks:
    """The chunk rows of one segment file, in memory as arrays beside undecoded blobs."""

    def __init__(self, root: Path, file: File) -> None:
        self.name = str(root / file.path)
        try:
            table = open_file(root, file).read(columns=_READ).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"segment {self.name} cannot be read ({error}): restore it from a copy.") from error
        self.bytes = int(table.nbytes)
        self.series, self.t_min, self.t_max = (table[n].to_numpy() for n in ("series_id", "t_min", "t_max"))
        self.count = table["count"].to_numpy().astype(np.int64)
        self.group = table["time_group"].to_numpy()
        self._codec, self._blob = table["codec"].to_numpy(), table["blob"]
        self._times = {
            int(self.group[row]): row for row in np.flatnonzero(table["time_blob"].is_valid().to_numpy())[::-1].tolist()
        }
        self._time_codec, self._time_blob = table["time_codec"], table["time_blob"]

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
        blobs = self._blob.take(pa.array(rows)).to_pylist()
        groups: dict[int, _Ints] = {}
        work = zip(rows.tolist(), at.tolist(), self.count[rows].tolist(), self.group[rows].tolist(), blobs, strict=True)
        try:
            for row, a, n, group, blob in work:
                codecs.decode_into(int(self._codec[row]), blob, value[a : a + n])
                if group not in groups:
                    groups[group] = self._group(group, n)
                time[a : a + n] = groups[group]
        except (ValueError, KeyError) as error:
            raise StoreError(
                f"segment {self.name} holds a chunk that does not decode ({error}): restore it."
            ) from error
        if (time[at] != self.t_min[rows]).any() or (time[at + self.count[rows] - 1] != self.t_max[rows]).any():
            raise StoreError(
                f"segment {self.name} holds timestamps that disagree with its rows: restore it from a copy."
            )

    def _group(self, group: int, n: int) -> _Ints:
        row = self._times[group]
        return codecs.decode(self._time_codec[row].as_py(), self._time_blob[row].as_py(), n, "int64")


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


def gather(
    segments: Sequence[tuple[int, Chunks]],
    hot: Sequence[HotSamples],
    wanted: npt.NDArray[np.bool_],
    start: int,
    end: int,
) -> Flat:
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
    """
    rows = [chunks.rows(wanted, start, end) for _, chunks in segments]
    kept = [np.flatnonzero(wanted[row.ids]) for row in hot]
    series = [c.series[r] for (_, c), r in zip(segments, rows, strict=True)] + [
        h.ids[k] for h, k in zip(hot, kept, strict=True)
    ]
    first = [c.t_min[r] for (_, c), r in zip(segments, rows, strict=True)]
    first += [h.time[h.offsets[k]] for h, k in zip(hot, kept, strict=True)]
    count = [c.count[r] for (_, c), r in zip(segments, rows, strict=True)]
    count += [np.diff(h.offsets)[k] for h, k in zip(hot, kept, strict=True)]
    ranks = [rank for rank, _ in segments] + [row.rank for row in hot]
    sizes = [len(s) for s in series]
    if not sum(sizes):
        return Flat(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    owner, counts = np.concatenate(series), np.concatenate(count)
    rank = np.repeat(np.array(ranks, np.int64), sizes)
    order = np.lexsort((rank, np.concatenate(first), owner))
    at = np.empty(len(order), np.int64)
    at[order] = np.cumsum(counts[order]) - counts[order]
    total = int(counts.sum())
    time, value = np.empty(total, np.int64), np.empty(total)
    where = np.split(at, np.cumsum(sizes)[:-1])
    for (_, chunks), r, a in zip(segments, rows, where, strict=False):
        chunks.fill(r, a, time, value)
    for row, k, a in zip(hot, kept, where[len(segments) :], strict=True):
        n = np.diff(row.offsets)[k]
        inside = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        source, target = np.repeat(row.offsets[k], n) + inside, np.repeat(a, n) + inside
        time[target], value[target] = row.time[source], row.value[source]
    owners = np.repeat(owner[order], counts[order])
    flat = _latest(Flat(owners, time, value), np.repeat(rank[order], counts[order]))
    if flat.time.min() >= start and flat.time.max() < end:
        return flat
    inside = (flat.time >= start) & (flat.time < end)
    return Flat(flat.series[inside], flat.time[inside], flat.value[inside])


def _latest(flat: Flat, rank: _Ints) -> Flat:
    """Return pieces that may overlap as sorted samples, the one of the highest rank at each (series, time)."""
    if ((np.diff(flat.series) > 0) | (np.diff(flat.time) > 0)).all():
        return flat
    order = np.lexsort((rank, flat.time, flat.series))
    series, time, value = flat.series[order], flat.time[order], flat.value[order]
    last = np.ones(len(time), bool)
    last[:-1] = (np.diff(series) != 0) | (np.diff(time) != 0)
    return Flat(series[last], time[last], value[last])
