"""Samples on their way to segments and hot rows, and one segment read back: decoded straight into the result."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench import codecs
from workbench.codecs.packed import Packed, decode_many
from workbench.errors import StoreError
from workbench.store.chunk_index import ChunkIndex
from workbench.store.chunks import CHUNK, LONG, TAIL, Flat, chunk_table
from workbench.store.files import File, Made, day_of, open_file, write_file
from workbench.store.places import Folder, Place
from workbench.store.series import SeriesIndex

__all__ = [
    "COMPACTED",
    "YOUNG",
    "ChunkCache",
    "Chunks",
    "Layout",
    "load_index",
    "write_segment",
]

_Ints = npt.NDArray[np.int64]
_INDEXED = ["series_id", "time_group", "t_min", "t_max", "count", "time_codec", "time_blob", "codec", "blob"]
_ENCODED = {"labels": "DELTA_LENGTH_BYTE_ARRAY", "series_id": "DELTA_BINARY_PACKED", "codec": "BYTE_STREAM_SPLIT"}


_TIMES = 8 * 2**20
"""Bytes of timestamps of a segment that are kept decoded: a target's serve all its series."""


class Layout(NamedTuple):
    """How a segment is cut and packed: most samples of a chunk, length of the last one, codec effort, zstd level."""

    limit: int
    tail: int
    effort: str
    level: int


YOUNG = Layout(CHUNK, 0, "fast", 1)
"""What sealing and large writes make: quickly, of chunks that a recent window is cheaply read from."""

COMPACTED = Layout(LONG, TAIL, "best", 19)
"""What compaction makes: small."""


def write_segment(
    place: Folder, flat: Flat, index: SeriesIndex, meta: Mapping[str, str], layout: Layout = YOUNG
) -> Made:
    """Write sorted samples as a durable segment; return its catalog row (without write numbers), files and index."""
    table = chunk_table(flat, layout.limit, layout.tail, layout.effort)
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
    packed = [name for name in table.column_names if name != "blob"]
    file, data = write_file(
        place,
        f"metrics/{day_of(row['t_min'])}",
        "chunks",
        table.replace_schema_metadata({**meta, **{k: str(v) for k, v in row.items()}}),
        row_group_size=len(table),
        column_encoding=_ENCODED,
        use_dictionary=["blob"],  # identical chunks once; the other columns repeat themselves in a way zstd sees
        dictionary_pagesize_limit=2**31 - 1,
        compression={name: "zstd" if name in packed else "none" for name in table.column_names},
        compression_level=dict.fromkeys(packed, layout.level),
        write_statistics=["t_min", "t_max"],
        store_schema=False,
    )
    return Made(row, [file], ChunkIndex.of_table(table, memoryview(data)).pack())


class Chunks:
    """The chunks of one segment: their index in memory, their bytes read from its place when asked for."""

    def __init__(self, place: Place, file: File, index: ChunkIndex) -> None:
        self.index = index
        self.bytes = index.nbytes
        self.samples = int(index.count[index.group].sum())
        self.name = f"{place.url}/{file.path}"
        self.url, self.file = place.url, file
        self._place, self._path = place, file.path
        self._times: dict[int, _Ints] = {}
        self._keeps = 8 * int(index.count.sum()) <= _TIMES
        self.bytes += 8 * int(index.count.sum()) if self._keeps else 0

    def fill(
        self,
        rows: npt.NDArray[np.intp],
        at: _Ints,
        time: _Ints | None,
        value: npt.NDArray[np.float64],
        span: tuple[_Ints, _Ints] | None = None,
    ) -> npt.NDArray[np.intp]:
        """Decode chunk `rows[i]` into `time` and `value` from position `at[i]` on.

        Parameters
        ----------
        rows : ndarray of int
            Sorted.
        at : ndarray of int64
            Where each chunk goes.
        time : ndarray of int64 or None
            Left out when only values are wanted.
        value : ndarray of float64
        span : tuple of ndarray of int64, optional
            The first sample wanted of each chunk and the one behind the last, as `within` returns them.

        Returns
        -------
        ndarray of int
            Positions in `rows` of damaged chunks; their samples are not to be used.
        """
        group = self.index.group[rows]
        begin, end = span or (np.zeros(len(rows), np.int64), self.index.count[group])
        wrong = self.unpack(rows, begin, end, at, value)
        if time is not None:
            times = np.array(self._fill_times(group, begin, end, at, time), np.intp)
            wrong = np.unique(np.concatenate([wrong, times]))
        return wrong

    def within(self, rows: npt.NDArray[np.intp], start: int, end: int) -> tuple[_Ints, _Ints]:
        """Return which samples of chunks lie in [start, end): the first, and the one behind the last.

        Of chunks whose timestamps are damaged all samples are named, so that `fill` tells of them.
        """
        index = self.index
        groups, of = np.unique(index.group[rows], return_inverse=True)
        low, high = np.zeros(len(groups), np.int64), index.count[groups]
        cut = (index.t_min[groups] < start) | (index.t_max[groups] >= end)
        for i in np.flatnonzero(cut).tolist():
            try:
                low[i], high[i] = np.searchsorted(self.times(int(groups[i])), [start, end])
            except StoreError:
                continue
        return low[of], high[of]

    def unpack(
        self, rows: npt.NDArray[np.intp], begin: _Ints, end: _Ints, target: _Ints, out: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.intp]:
        """Decode samples `begin[i]` to `end[i]` of chunk `rows[i]` into `out`, from `target[i]` on.

        Chunks with the same bytes are decoded once.

        Parameters
        ----------
        rows : ndarray of int
        begin, end, target : ndarray of int64
        out : ndarray of float64, one-dimensional

        Returns
        -------
        ndarray of int
            Positions in `rows` of damaged chunks, sorted; what is written for them is not to be used.
        """
        index = self.index
        codec, blob, count = index.codec[rows], index.blob[rows], index.count[index.group[rows]]
        first, same = _repeated(blob, codec, count, begin, end)
        data, at, length, sound = self._read(blob[first])
        for packed in (True, False):
            some = np.flatnonzero(((codec[first] == Packed.id) == packed) & sound)
            of = first[some]
            parts = at[some], length[some], count[of], begin[of], end[of], target[of]
            decode = decode_many if packed else partial(_decode_each, codec[of])
            if len(some):
                sound[some] = decode(data, *parts, out)
        copies = np.flatnonzero(first[same] != np.arange(len(rows)))
        source = target[first[same[copies]]]
        spans = zip(source.tolist(), target[copies].tolist(), (end - begin)[copies].tolist(), strict=True)
        for a, b, n in spans:
            out[b : b + n] = out[a : a + n]
        return np.flatnonzero(~sound[same])

    def _read(self, blob: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.uint8], _Ints, _Ints, npt.NDArray[np.bool_]]:
        """Return bytes, where each blob lies in them and how long it is, and which are those that were written."""
        index = self.index
        length = index.length[blob]
        data, at = self._place.read_joined(self._path, index.offset[blob], length)
        sound: npt.NDArray[np.bool_] = at >= 0
        new = np.flatnonzero(sound & ~index.sound[blob])  # each is looked at once per process
        view = data.data
        spans = zip(at[new].tolist(), length[new].tolist(), index.crc32[blob[new]].tolist(), strict=True)
        sound[new] = [zlib.crc32(view[a : a + n]) == crc32 for a, n, crc32 in spans]
        index.sound[blob[new[sound[new]]]] = True
        return data, at, length, sound

    def times(self, group: int) -> _Ints:
        """Return the timestamps of one group, not to be changed; those of a few targets are kept.

        Raises
        ------
        StoreError
            If they do not decode to what the index says.
        """
        kept = self._times.get(group)
        if kept is not None:
            return kept
        index = self.index
        out = np.empty(int(index.count[group]), np.int64)
        try:
            codecs.decode_into(int(index.time_codec[group]), index.times[group], out)
        except ValueError as error:
            raise StoreError(
                f"segment {self.name} holds timestamps that do not decode ({error}): restore it."
            ) from error
        if out[0] != index.t_min[group] or out[-1] != index.t_max[group]:
            raise StoreError(f"segment {self.name} holds timestamps that disagree with its index: restore it.")
        if self._keeps:
            self._times[group] = out
        return out

    def _fill_times(self, group: npt.NDArray[np.int32], begin: _Ints, end: _Ints, at: _Ints, time: _Ints) -> list[int]:
        known: dict[int, _Ints | None] = {}
        wrong = []
        given = (a.tolist() for a in (group, begin, end, at))
        for i, (g, first, last, a) in enumerate(zip(*given, strict=True)):
            if g not in known:
                try:
                    known[g] = self.times(g)
                except StoreError:
                    known[g] = None
            found = known[g]
            if found is None:
                wrong.append(i)
            else:
                time[a : a + last - first] = found[first:last]
        return wrong

    def damaged(self, rows: npt.NDArray[np.intp], names: Callable[[_Ints], list[str]]) -> str:
        """Return one sentence naming chunks by series and time."""
        index = self.index
        shown = rows[:3]
        labels = names(index.series[shown])
        group = index.group[shown]
        spans = zip(labels, index.t_min[group].tolist(), index.t_max[group].tolist(), strict=True)
        parts = [f"{text[:200]} from {np.datetime64(a, 'ns')} to {np.datetime64(b, 'ns')}" for text, a, b in spans]
        more = f" and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
        return f"segment {self.name} is damaged where it holds {'; '.join(parts)}{more}: restore it from a copy."


def _repeated(*keys: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where each distinct combination of keys stands first, and for every position which of these it is."""
    order = np.lexsort(keys[::-1])
    fresh = np.zeros(len(order), bool)
    fresh[:1] = True
    for key in keys:
        ordered = key[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    same = np.empty(len(order), np.intp)
    same[order] = np.cumsum(fresh) - 1
    return order[fresh], same  # the sort is stable: the first of a run stands first


def _decode_each(
    codec: npt.NDArray[np.uint8], data: npt.NDArray[np.uint8], at: _Ints, length: _Ints, count: _Ints, begin: _Ints,
    end: _Ints, target: _Ints, out: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Do for chunks of any codec what `decode_many` does for packed ones, one by one."""
    sound, scratch = np.ones(len(at), bool), np.empty(int(count.max(initial=0)))
    given = (a.tolist() for a in (codec, at, length, count, begin, end, target))
    for i, (number, where, size, n, first, last, to) in enumerate(zip(*given, strict=True)):
        whole = last - first == n
        values = out[to : to + n] if whole else scratch[:n]
        try:
            codecs.decode_into(number, data[where : where + size].tobytes(), values)
        except ValueError:
            sound[i] = False
            continue
        if not whole:
            out[to : to + last - first] = values[first:last]
    return sound


class ChunkCache:
    """The indexes used last, up to a number of bytes; segments never change, so nothing in it can be stale."""

    def __init__(self, limit: int = 256 * 2**20) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[str, str], Chunks] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Return whether the index of a file of a place (its URL and path) is held."""
        return key in self._held

    def get(self, place: Place, file: File, packed: bytes | None) -> Chunks:
        """Return the chunks of a segment file; `packed` is its index as the catalog has it, None to read the file."""
        key = (place.url, file.path)
        chunks = self._held.get(key)
        if chunks is None:
            chunks = Chunks(place, file, load_index(place, file, packed))
        with self._lock:
            self._held[key] = chunks
            self._held.move_to_end(key)
            while len(self._held) > 1 and sum(c.bytes for c in self._held.values()) > self._limit:
                self._held.popitem(last=False)
        return chunks


def load_index(place: Place, file: File, packed: bytes | None) -> ChunkIndex:
    """Return the index of a segment from the catalog's bytes, else from the file.

    Raises
    ------
    StoreError
        If the file is damaged; the message names it.
    Gone
        If it has been removed since the caller's snapshot.
    """
    if packed is not None:
        try:
            return ChunkIndex.unpack(packed)
        except ValueError:
            pass  # the file says the same
    try:
        parquet = open_file(place, file)
        raw = place.read(file.path, [(0, file.bytes)])[0]
        return ChunkIndex.of_table(parquet.read(columns=_INDEXED), raw).ordered()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"segment {place.url}/{file.path} cannot be read ({error}): restore it from a copy."
        ) from error
