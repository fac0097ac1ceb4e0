"""Where each column of each series lies in a rollup segment: kept in the catalog, so a query reads only its bytes.

A **row** is one series over some days in which it is covered. Rows of short stretches share a **block**, whose columns
are one blob each; a long row has a block of its own. Equal blobs (counts and times of a scrape target) are one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from workbench.store.rollup_columns import NUMBERS

__all__ = ["RollupIndex"]

_HEAD = np.dtype([("rows", "<u4"), ("blocks", "<u4"), ("blobs", "<u4")])
_ROW = (("series", "<u8"), ("from_day", "<u4"), ("to_day", "<u4"), ("low", "<u8"), ("span", "<u8"), ("n", "<u4"))
_BLOB = (("codec", "u1"), ("gap", "<i8"), ("length", "<u4"), ("crc32", "<u4"))
_MOST = 256 * 2**20

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RollupIndex:
    """The rows, blocks and blobs of one rollup segment.

    Attributes
    ----------
    series, from_day, to_day : ndarray of int64, shape (r,)
        Per row: series number and the days it is covered in, (from_day, to_day] in days since 1970; sorted by series
        and day.
    low, high, n : ndarray of int64, shape (r,)
        First and last bucket number, and how many buckets there are.
    block, at : ndarray of int64, shape (r,)
        Block, and where in it the row's buckets begin.
    cells : ndarray of int64, shape (k, 12)
        Per block and column (`NUMBERS`) its blob, -1 where there is none.
    codec, offset, length, crc32 : ndarray, shape (u,)
        Per distinct blob: codec id, where its bytes lie in the file, and their checksum.
    sound : ndarray of bool, shape (u,)
        Blobs whose checksum was compared in this process; filled by readers.
    """

    series: _Ints
    from_day: _Ints
    to_day: _Ints
    low: _Ints
    high: _Ints
    n: _Ints
    block: _Ints
    at: _Ints
    cells: _Ints
    codec: npt.NDArray[np.uint8]
    offset: _Ints
    length: _Ints
    crc32: npt.NDArray[np.uint32]
    sound: npt.NDArray[np.bool_] = field(repr=False)

    @property
    def block_n(self) -> _Ints:
        """Buckets of each block."""
        return np.bincount(self.block, weights=self.n, minlength=len(self.cells)).astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held, about."""
        return 64 * len(self.series) + 8 * self.cells.size + 18 * len(self.codec)

    def pack(self) -> bytes:
        """Return the index as bytes: a head, then planes of bytes under zstd; see `FORMAT.md`."""
        ends = np.append(0, self.offset + self.length)[:-1]
        parts = {
            "series": np.diff(self.series, prepend=0), "from_day": self.from_day, "to_day": self.to_day,
            "low": self.low, "span": self.high - self.low, "n": self.n,
            "codec": self.codec, "gap": self.offset - ends, "length": self.length, "crc32": self.crc32,
        }  # fmt: skip
        planes = [_plane(parts[name], kind) for name, kind in _ROW]
        planes += [_plane(np.diff(self.block, prepend=0), "u1")]
        planes += [_plane(self.cells.T.reshape(-1), "<i4")]
        planes += [_plane(parts[name], kind) for name, kind in _BLOB]
        head = np.array([(len(self.series), len(self.cells), len(self.codec))], _HEAD).tobytes()
        return head + zstandard.ZstdCompressor(level=12).compress(b"".join(planes))

    @classmethod
    def unpack(cls, data: bytes) -> RollupIndex:
        """Return the index that `pack` made bytes of.

        Raises
        ------
        ValueError
            If the bytes are none.
        """
        if len(data) < _HEAD.itemsize:
            raise ValueError("a rollup index is cut short")
        rows, blocks, blobs = (int(v) for v in np.frombuffer(data, _HEAD, 1)[0])
        kinds = [(name, kind, rows) for name, kind in _ROW] + [("block", "u1", rows)]
        kinds += [("cells", "<i4", blocks * len(NUMBERS))] + [(name, kind, blobs) for name, kind in _BLOB]
        total = sum(np.dtype(kind).itemsize * n for _, kind, n in kinds)
        if total > _MOST:
            raise ValueError(f"a rollup index claims {total} bytes")
        try:
            body = zstandard.ZstdDecompressor().decompress(data[_HEAD.itemsize :], max_output_size=max(total, 1))
        except zstandard.ZstdError as error:
            raise ValueError(f"a rollup index does not unpack: {error}") from error
        if len(body) != total:
            raise ValueError("a rollup index is cut short")
        parts, at = {}, 0
        for name, kind, n in kinds:
            size = np.dtype(kind).itemsize
            plane = np.frombuffer(body, np.uint8, n * size, at).reshape(size, n)
            parts[name] = np.ascontiguousarray(plane.T).reshape(-1).view(kind)
            at += n * size
        return cls._of_parts(parts, blocks)

    @classmethod
    def _of_parts(cls, parts: dict[str, npt.NDArray[Any]], blocks: int) -> RollupIndex:
        wide = {name: part.astype(np.int64) for name, part in parts.items()}
        block = np.cumsum(wide["block"])
        cells = wide["cells"].reshape(len(NUMBERS), blocks).T.copy()
        offset = np.cumsum(wide["gap"] + np.append(0, wide["length"])[:-1]) if len(wide["gap"]) else wide["gap"]
        made = cls(
            np.cumsum(wide["series"]), wide["from_day"], wide["to_day"], wide["low"], wide["low"] + wide["span"],
            wide["n"], block, _starts(block, wide["n"]), cells,
            parts["codec"], offset, wide["length"], parts["crc32"], np.zeros(len(parts["codec"]), bool),
        )  # fmt: skip
        bad = (made.n < 1) | (made.high - made.low < made.n - 1) | (made.to_day <= made.from_day)
        if bad.any() or (block[-1:] != blocks - 1).any() or not ((cells >= -1) & (cells < len(offset))).all():
            raise ValueError("a rollup index contradicts itself")
        if (offset < 0).any() or (cells[:, NUMBERS["count"]] < 0).any():
            raise ValueError("a rollup index contradicts itself")
        return made

    @classmethod
    def of_blocks(
        cls, rows: dict[str, _Ints], cells: _Ints, blobs: list[tuple[int, bytes]], offset: _Ints, crc32: list[int]
    ) -> RollupIndex:
        """Return the index of rows and of distinct blobs whose places in the file are known.

        Parameters
        ----------
        rows : dict of ndarray, shape (r,)
            `series`, `from_day`, `to_day`, `low`, `high`, `n`, `block`, in order.
        cells : ndarray of int64, shape (k, 12)
        blobs : list of (codec id, bytes)
        offset : ndarray of int64
        crc32 : list of int
        """
        return cls(
            rows["series"], rows["from_day"], rows["to_day"], rows["low"], rows["high"], rows["n"], rows["block"],
            _starts(rows["block"], rows["n"]), cells, np.array([codec for codec, _ in blobs], np.uint8), offset,
            np.array([len(data) for _, data in blobs], np.int64), np.array(crc32, np.uint32),
            np.zeros(len(blobs), bool),
        )  # fmt: skip


def _plane(values: npt.NDArray[Any], kind: str) -> bytes:
    """Return items byte by byte: all lowest bytes first, which compress best."""
    items = np.ascontiguousarray(values).astype(kind)
    return items.view(np.uint8).reshape(len(items), items.itemsize).T.tobytes()


def _starts(block: _Ints, n: _Ints) -> _Ints:
    """Return where in its block each row begins."""
    before = np.cumsum(n) - n
    head = np.searchsorted(block, block)
    starts: _Ints = before - before[head]
    return starts
