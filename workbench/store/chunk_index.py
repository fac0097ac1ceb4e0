"""Where each chunk of a segment lies: the map from series and time to the very bytes of a file.

It is made when a segment is written and kept in the catalog, so that one series costs one read of its own bytes, here or
from an object store, and a damaged Parquet footer costs nothing. It can be made anew from the file.

References
----------
The layout is drawn in `FORMAT.md`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

__all__ = ["ChunkIndex"]

_Ints = npt.NDArray[np.int64]
_HEAD = np.dtype([("rows", "<u4"), ("blobs", "<u4"), ("groups", "<u4"), ("times", "<u4")])
_MOST = 256 * 2**20


@dataclass(frozen=True)
class ChunkIndex:
    """The chunks of one metrics segment, by series and time.

    Attributes
    ----------
    series, group, codec, blob : ndarray, shape (n,)
        Per chunk: series number (sorted), row of its timestamps below, codec id, row of its bytes below.
    offset, length, crc32 : ndarray, shape (u,)
        Per distinct blob: where its bytes lie in the file, and their checksum. Identical chunks share one.
    t_min, t_max, count, time_codec : ndarray, shape (g,)
        Per group of chunks with the same timestamps.
    times : list of bytes, length g
        The encoded timestamps of each group.
    sound : ndarray of bool, shape (u,)
        Blobs whose checksum was compared in this process; filled by readers.
    """

    series: _Ints
    group: npt.NDArray[np.int32]
    codec: npt.NDArray[np.uint8]
    blob: npt.NDArray[np.int32]
    offset: _Ints
    length: _Ints
    crc32: npt.NDArray[np.uint32]
    t_min: _Ints
    t_max: _Ints
    count: _Ints
    time_codec: npt.NDArray[np.uint8]
    times: list[bytes]
    sound: npt.NDArray[np.bool_] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self.series)

    @property
    def nbytes(self) -> int:
        """Memory held, about."""
        return 17 * len(self.series) + 21 * len(self.offset) + 40 * len(self.times) + sum(map(len, self.times))

    @classmethod
    def of_table(cls, table: pa.Table, data: bytes | memoryview) -> ChunkIndex:
        """Return the index of chunk rows and of the Parquet file they were written to, in the order of the file.

        Blobs are looked for in the order they were written, each behind its four bytes of length. An earlier match
        than the one meant has the same bytes, so it serves as well.

        Raises
        ------
        ValueError
            If the rows contradict each other, or a blob is not in the file.
        """
        raw = bytes(data)
        blobs = table["blob"].combine_chunks()
        codes = pa.chunked_array([blobs]).combine_chunks().dictionary_encode()
        distinct = codes.dictionary.to_pylist()
        offset, at = [], 0
        for blob in distinct:
            found = raw.find(len(blob).to_bytes(4, "little") + blob, at)
            if found < 0:
                raise ValueError("a blob is not where its row is")
            offset.append(found + 4)
            at = found + 4 + len(blob)
        group = table["time_group"].to_numpy()
        time_blobs = table["time_blob"].to_pylist()
        first = np.array([i for i, blob in enumerate(time_blobs) if blob is not None], np.int64)
        _, keep = np.unique(group[first], return_index=True)  # format 1 repeats timestamps in each row group
        first = first[keep]
        number = np.searchsorted(group[first], group)
        if not len(first) or (number == len(first)).any() or (group[first][number] != group).any():
            raise ValueError("a chunk has no timestamps")
        low, high, count = (table[name].to_numpy()[first].astype(np.int64) for name in ("t_min", "t_max", "count"))
        time_codec = table["time_codec"].fill_null(0).to_numpy()[first].astype(np.uint8)
        return cls(
            table["series_id"].to_numpy(), number.astype(np.int32), table["codec"].to_numpy(),
            codes.indices.to_numpy().astype(np.int32), np.array(offset, np.int64),
            np.array([len(b) for b in distinct], np.int64), np.array([zlib.crc32(b) for b in distinct], np.uint32),
            low, high, count, time_codec, [time_blobs[i] for i in first.tolist()], np.zeros(len(distinct), bool),
        )  # fmt: skip

    def ordered(self) -> ChunkIndex:
        """Return the same chunks by series and time, as readers want them, blobs in the order they are met."""
        step = np.diff(self.series)
        if ((step > 0) | ((step == 0) & (np.diff(self.t_min[self.group]) > 0))).all():
            return self
        order = np.lexsort((self.t_min[self.group], self.series))
        blob = self.blob[order]
        _, first = np.unique(blob, return_index=True)
        met = blob[np.sort(first)]
        number = np.empty(len(self.offset), np.int32)
        number[met] = np.arange(len(met))
        return replace(
            self, series=self.series[order], group=self.group[order], codec=self.codec[order], blob=number[blob],
            offset=self.offset[met], length=self.length[met], crc32=self.crc32[met], sound=self.sound[met],
        )  # fmt: skip

    def pack(self) -> bytes:
        """Return the index as bytes, see `FORMAT.md`."""
        blob = self.blob.astype(np.int64)
        gap = np.diff(self.offset, prepend=0) - np.append(0, self.length[:-1])
        parts: list[tuple[Any, str]] = [
            (np.diff(self.series, prepend=0), "<u8"), (self.group, "<u4"), (self.codec, "u1"),
            (blob - np.maximum.accumulate(np.append(0, blob + 1))[:-1], "<i4"),
            (gap, "<i8"), (self.length, "<u4"), (self.crc32, "<u4"),
            (np.diff(self.t_min, prepend=0), "<i8"), (self.t_max - self.t_min, "<u8"), (self.count, "<u4"),
            (self.time_codec, "u1"), (np.array([len(t) for t in self.times]), "<u4"),
        ]  # fmt: skip
        times = b"".join(self.times)
        head = np.array([(len(self.series), len(self.offset), len(self.t_min), len(times))], _HEAD).tobytes()
        planes = [np.asarray(values).astype(kind) for values, kind in parts]
        body = b"".join(p.view(np.uint8).reshape(len(p), -1).T.tobytes() for p in planes)
        return head + zstandard.ZstdCompressor(level=19).compress(body + times)

    @classmethod
    def unpack(cls, data: bytes) -> ChunkIndex:
        """Return the index that `pack` made bytes of.

        Raises
        ------
        ValueError
            If the bytes are none.
        """
        if len(data) < _HEAD.itemsize:
            raise ValueError("a chunk index is cut short")
        rows, blobs, groups, n_times = (int(v) for v in np.frombuffer(data, _HEAD, 1)[0])
        kinds = [
            ("<u8", rows), ("<u4", rows), ("u1", rows), ("<i4", rows), ("<i8", blobs), ("<u4", blobs), ("<u4", blobs),
            ("<i8", groups), ("<u8", groups), ("<u4", groups), ("u1", groups), ("<u4", groups),
        ]  # fmt: skip
        total = sum(np.dtype(kind).itemsize * n for kind, n in kinds) + n_times
        if total > _MOST:
            raise ValueError(f"a chunk index claims {total} bytes")
        try:
            body = zstandard.ZstdDecompressor().decompress(data[_HEAD.itemsize :], max_output_size=total)
        except zstandard.ZstdError as error:
            raise ValueError(f"a chunk index does not unpack: {error}") from error
        if len(body) != total:
            raise ValueError("a chunk index is cut short")
        at, found = 0, []
        for kind, n in kinds:
            size = np.dtype(kind).itemsize
            plane = np.frombuffer(body, np.uint8, n * size, at).reshape(size, n)
            found.append(np.ascontiguousarray(plane.T).reshape(-1).view(kind))
            at += n * size
        return cls._of_parts(found, body[at:]).ordered()

    @classmethod
    def _of_parts(cls, parts: list[npt.NDArray[Any]], times: bytes) -> ChunkIndex:
        series, group, codec, blob, gap, length, crc32, t_min, span, count, time_codec, time_length = parts
        length = length.astype(np.int64)
        fresh = blob == 0  # the next blob not met before; others lie before it by as much as is written
        number = np.cumsum(fresh) - 1 + np.where(fresh, 0, blob + 1)
        offset = np.cumsum(gap + np.append(0, length)[:-1]) if len(gap) else gap.astype(np.int64)
        ends = np.cumsum(time_length.astype(np.int64))
        starts = ends - time_length
        low = np.cumsum(t_min)
        made = cls(
            np.cumsum(series).astype(np.int64), group.astype(np.int32), codec, number.astype(np.int32), offset, length,
            crc32, low, low + span.astype(np.int64), count.astype(np.int64), time_codec,
            [times[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)], np.zeros(len(length), bool),
        )  # fmt: skip
        bad = (number < 0) | (number >= len(length)) | (group >= len(count))
        if bad.any() or (ends[-1:] != len(times)).any() or (made.count <= 0).any():
            raise ValueError("a chunk index contradicts itself")
        return made

    def rows(self, ids: _Ints, wanted: npt.NDArray[np.bool_], start: int, end: int) -> npt.NDArray[np.intp]:
        """Return the chunks of some series that may hold samples in [start, end).

        Parameters
        ----------
        ids : ndarray of int64, shape (k,)
            Series numbers, sorted.
        wanted : ndarray of bool
            The same by series number; few series are looked up one by one, many are read off here.
        start, end : int
            Nanoseconds.
        """
        if len(ids) * 16 < len(self.series):
            low, high = np.searchsorted(self.series, ids), np.searchsorted(self.series, ids, side="right")
            n = high - low
            found = np.repeat(low, n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        else:
            found = np.flatnonzero((self.series < len(wanted)) & wanted[np.minimum(self.series, len(wanted) - 1)])
        group = self.group[found]
        kept: npt.NDArray[np.intp] = found[(self.t_max[group] >= start) & (self.t_min[group] < end)]
        return kept
