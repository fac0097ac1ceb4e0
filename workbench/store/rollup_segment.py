"""A rollup segment: one Parquet file with one row per (column, block), every blob by itself, equal ones once.

Rows are sorted by column, so what a query over many series needs lies together; readers find it by the index
(`rollup_index.py`) and never parse Parquet.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench.errors import StoreError
from workbench.store.files import File, Made, day_of, open_file, write_file
from workbench.store.places import Folder, Place
from workbench.store.rollup import Buckets
from workbench.store.rollup_columns import NUMBERS, encode_columns, encode_sketches
from workbench.store.rollup_index import RollupIndex
from workbench.store.rollup_sketch import Sketches

__all__ = ["DAY", "SIGNAL", "Described", "Period", "RollupWriter", "Rows", "index_of_file"]

DAY = 86_400 * 10**9
"""Nanoseconds of a day; day d is (d * DAY, (d + 1) * DAY]."""

SIGNAL = "rollup"

_ALONE = 512
"""Buckets of one series from which it has a block of its own."""

_TOGETHER = 4096
"""Most buckets of a block that several series share."""

_Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


class Described(Protocol):
    """What is known of series by their numbers; `series.SeriesIndex` is one."""

    def texts(self, ids: _Ints) -> list[str]:
        """Return the canonical labels."""
        ...

    def describe(self, ids: _Ints) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Return kinds and units."""
        ...


class Period(NamedTuple):
    """What a segment speaks for: one resolution (ns), days (first, last + 1), series numbers (first, last)."""

    step: int
    days: tuple[int, int]
    series: tuple[int, int]


@dataclass(frozen=True)
class Rows:
    """Buckets by row: row i is one series over days (from_day, to_day], and owns `offsets[i]` to `offsets[i + 1]`.

    Attributes
    ----------
    buckets : Buckets
        Sorted by series and bucket.
    offsets : ndarray of int64, shape (r + 1,)
    from_day, to_day : ndarray of int64, shape (r,)
    sketched : ndarray of bool, shape (r,)
        Which rows have sketches.
    sketches : Sketches
        One per bucket, empty in rows without.
    """

    buckets: Buckets
    offsets: _Ints
    from_day: _Ints
    to_day: _Ints
    sketched: npt.NDArray[np.bool_]
    sketches: Sketches


def _blocks(n: _Ints, sketched: npt.NDArray[np.bool_]) -> _Ints:
    """Return the block of each row: long rows alone, short neighbours together, those with sketches apart."""
    block, number, filled, kind = np.empty(len(n), np.int64), -1, _TOGETHER, False
    for i, (count, flag) in enumerate(zip(n.tolist(), sketched.tolist(), strict=True)):
        if count >= _ALONE or filled + count > _TOGETHER or flag != kind:
            number, filled, kind = number + 1, 0, flag
        filled = _TOGETHER if count >= _ALONE else filled + count
        block[i] = number
    return block


class RollupWriter:
    """Takes rows in the order of their series, encodes them block by block, and writes them as one segment.

    Parameters
    ----------
    effort : {"best", "fast"}
        "fast" for what will soon be joined to something longer.
    """

    def __init__(self, effort: str = "best") -> None:
        self._effort = effort
        self._rows: list[dict[str, _Ints]] = []
        self._cells: list[_Ints] = []
        self._blobs: dict[tuple[int, bytes], int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the distinct blobs so far."""
        return sum(len(data) for _, data in self._blobs)

    def add(self, rows: Rows) -> None:
        """Add rows; their series come after all that were added before, or go on where those end."""
        n = np.diff(rows.offsets)
        if not len(n):
            return
        block, numbers = _blocks(n, rows.sketched), rows.buckets.bucket
        low, high = numbers[rows.offsets[:-1]], numbers[rows.offsets[1:] - 1]
        gaps = high - low + 1 != n
        edges = np.searchsorted(block, np.arange(block[-1] + 2))
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            here = slice(int(rows.offsets[a]), int(rows.offsets[b]))
            blobs = encode_columns(rows.buckets.take(here), not gaps[a:b].any(), self._effort)
            if rows.sketched[a]:
                sketches = rows.sketches.take(np.arange(here.start, here.stop))
                blobs["sketch"] = NUMBERS["sketch"], encode_sketches(sketches, self._effort)
            cells = np.full(len(NUMBERS), -1, np.int64)
            for name, blob in blobs.items():
                cells[NUMBERS[name]] = self._blobs.setdefault(blob, len(self._blobs))
            self._cells.append(cells)
        before = len(self._cells) - len(edges) + 1
        self._rows.append(
            {
                "series": rows.buckets.series[rows.offsets[:-1]], "from_day": rows.from_day, "to_day": rows.to_day,
                "low": low, "high": high, "n": n, "block": block + before,
            }
        )  # fmt: skip

    def write(
        self, place: Folder, period: Period, index: Described, meta: Mapping[str, str], seq: tuple[int, int]
    ) -> Made:
        """Write the segment durably; it may be empty, and then says that no series has this level.

        Parameters
        ----------
        place : Folder
        period : Period
        index : Described
            Of the series in the rows.
        meta : mapping of str to str
            What the footer says first.
        seq : (int, int)
            First and last write that it takes into account.

        Raises
        ------
        StoreError
            If the disk refuses, as when it is full.
        """
        names = ("series", "from_day", "to_day", "low", "high", "n", "block")
        rows = {name: np.concatenate([np.empty(0, np.int64), *(part[name] for part in self._rows)]) for name in names}
        cells = np.array(self._cells, np.int64).reshape(-1, len(NUMBERS))
        row: dict[str, Any] = {
            "signal": SIGNAL, "t_min": period.days[0] * DAY + 1, "t_max": period.days[1] * DAY,
            "rows": int(rows["n"].sum()), "series_min": period.series[0], "series_max": period.series[1],
        }  # fmt: skip
        blobs = list(self._blobs)
        table = _table(rows, cells, blobs, index)
        more = {**row, "step": period.step, "seq_min": seq[0], "seq_max": seq[1]}
        file, data = write_file(
            place,
            f"{SIGNAL}/{period.step // 10**9}s/{day_of(row['t_min'])}",
            "rollup",
            table.replace_schema_metadata({**meta, **{name: str(value) for name, value in more.items()}}),
            row_group_size=max(len(table), 1),
            use_dictionary=["column", "blob", "kind", "unit"],
            dictionary_pagesize_limit=2**31 - 1,
            compression={name: "none" if name == "blob" else "zstd" for name in _leaves(table.schema)},
            write_statistics=False,
        )
        made = RollupIndex.of_blocks(rows, *_placed(table, blobs, cells, memoryview(data)))
        return Made(row, [file], made.pack())


def _leaves(schema: pa.Schema) -> list[str]:
    return [f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in schema]


def _table(rows: Mapping[str, _Ints], cells: _Ints, blobs: Sequence[tuple[int, bytes]], index: Described) -> pa.Table:
    """Return the Parquet rows: for each column the blocks that have it; what the blocks hold stands with `count`."""
    order = [(name, int(k)) for name, c in sorted(NUMBERS.items()) for k in np.flatnonzero(cells[:, c] >= 0)]
    used = [blobs[int(cells[k, NUMBERS[name]])] for name, k in order]
    edges = np.searchsorted(rows["block"], np.arange(len(cells) + 1))
    about = [k if name == "count" else None for name, k in order]
    series = rows["series"]
    kind, unit = index.describe(series) if len(series) else (np.empty(0, object), np.empty(0, object))
    texts = index.texts(series) if len(series) else []
    lists: dict[str, Array] = {name: rows[name] for name in ("series", "from_day", "to_day", "low", "high", "n")}
    lists |= {"labels": np.array(texts, object), "kind": kind, "unit": unit}

    def listed(values: Array, of: pa.DataType) -> pa.Array:
        held = [None if k is None else values[edges[k] : edges[k + 1]].tolist() for k in about]
        return pa.array(held, pa.list_(of))

    return pa.table(
        {
            "column": pa.array([name for name, _ in order], pa.string()),
            "block": pa.array([k for _, k in order], pa.int32()),
            "codec": pa.array([codec for codec, _ in used], pa.uint8()),
            "crc32": pa.array([zlib.crc32(data) for _, data in used], pa.uint32()),
            "blob": pa.array([data for _, data in used], pa.binary()),
            **{n: listed(v, pa.string() if v.dtype == object else pa.int64()) for n, v in lists.items()},
        }
    )


def _placed(
    table: pa.Table, blobs: Sequence[tuple[int, bytes]], cells: _Ints, data: memoryview
) -> tuple[_Ints, list[tuple[int, bytes]], _Ints, list[int]]:
    """Find the blobs in the file; number them in the order they lie there, as the rows of the table name them."""
    raw, at = bytes(data), 0
    met: dict[tuple[int, bytes], int] = {}
    offsets: dict[bytes, int] = {}
    for name, block in zip(table["column"].to_pylist(), table["block"].to_pylist(), strict=True):
        blob = blobs[int(cells[block, NUMBERS[name]])]
        if blob[1] not in offsets:
            found = raw.find(len(blob[1]).to_bytes(4, "little") + blob[1], at)
            if found < 0:
                raise StoreError("a rollup blob is not in the file that was written: try again.")
            offsets[blob[1]] = found + 4
            at = found + 4 + len(blob[1])
        met.setdefault(blob, len(met))
    renumbered = np.array([met[blob] for blob in blobs], np.int64)
    cells = np.where(cells >= 0, renumbered[cells] if len(blobs) else cells, -1)
    order = list(met)
    return cells, order, np.array([offsets[d] for _, d in order], np.int64), [zlib.crc32(d) for _, d in order]


def index_of_file(place: Place, file: File) -> RollupIndex:
    """Return the index of a segment from its file, as for a catalog that was lost.

    Raises
    ------
    StoreError
        If the file is damaged; the message names it.
    Gone
        If there is no such file.
    """
    try:
        table = open_file(place, file).read()
        raw = place.read(file.path, [(0, file.bytes)])[0]
        names = table["column"].to_pylist()
        about = table.filter(pa.array([name == "count" for name in names], pa.bool_()))
        rows = {
            name: about[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int64)
            for name in ("series", "from_day", "to_day", "low", "high", "n")
        }
        sizes = [len(part) for part in about["n"].to_pylist()]
        rows["block"] = np.repeat(about["block"].to_numpy().astype(np.int64), sizes)
        cells = np.full((len(about), len(NUMBERS)), -1, np.int64)
        blobs: dict[tuple[int, bytes], int] = {}
        stored = (table[name].to_pylist() for name in ("block", "codec", "blob"))
        for name, block, codec, data in zip(names, *stored, strict=True):
            cells[block, NUMBERS[name]] = blobs.setdefault((codec, data), len(blobs))
        return RollupIndex.of_blocks(rows, *_placed(table, list(blobs), cells, memoryview(raw)))
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"segment {place.url}/{file.path} cannot be read ({error}): restore it from a copy."
        ) from error
