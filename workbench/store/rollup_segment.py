"""A rollup segment: one Parquet file with one row per (column, block), every blob by itself, equal ones once.

Rows are sorted by column, so what a query over many series needs lies together; readers find it by the index
(`rollup_index.py`) and never parse Parquet.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from workbench.errors import StoreError
from workbench.store.files import File, Made, day_of, open_file, write_file
from workbench.store.places import Folder, Place
from workbench.store.rollup import COLUMNS, Buckets
from workbench.store.rollup_columns import (
    BASES,
    LIKE,
    NUMBERS,
    decode_column,
    decode_sketches,
    encode_columns,
    encode_sketches,
)
from workbench.store.rollup_index import RollupIndex
from workbench.store.rollup_sketch import Sketches

__all__ = ["DAY", "SIGNAL", "Described", "Period", "RollupFile", "RollupWriter", "Rows", "index_of_file"]

DAY = 86_400 * 10**9
"""Nanoseconds of a day; day d is (d * DAY, (d + 1) * DAY]."""

SIGNAL = "rollups"

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
    """Takes rows in the order of their series, encodes them block by block, and writes them as one segment."""

    def __init__(self) -> None:
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
            blobs = encode_columns(rows.buckets.take(here), not gaps[a:b].any())
            if rows.sketched[a]:
                sketches = rows.sketches.take(np.arange(here.start, here.stop))
                blobs["sketch"] = NUMBERS["sketch"], encode_sketches(sketches)
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


class RollupFile:
    """One rollup segment ready to be read: its index in memory, its bytes fetched from its place when asked for.

    Parameters
    ----------
    place : Place
    file : File
    step : int
        Resolution, ns.
    index : RollupIndex
    """

    def __init__(self, place: Place, file: File, step: int, index: RollupIndex) -> None:
        self.index, self.step = index, step
        self.name = f"{place.url}/{file.path}"
        self._place, self._path = place, file.path

    def fetch(self, blocks: _Ints, columns: Sequence[str]) -> Blocks:
        """Return some blocks with their columns' bytes read in one go, and checked.

        Raises
        ------
        StoreError
            If bytes are damaged; the message names segment, series and days.
        Gone
            If the file has been removed since the caller's snapshot.
        """
        index = self.index
        cells = index.cells[np.unique(blocks)]
        wanted = [cells[:, NUMBERS[name]] for name in ("bucket", *columns)]
        for name in columns:
            for base in BASES.get(name, ()):  # only where the column is stored as differences from others
                own = cells[:, NUMBERS[name]]
                wanted.append(cells[(own >= 0) & (index.codec[own] == LIKE), NUMBERS[base]])
        numbers = np.unique(np.concatenate(wanted))
        numbers = numbers[numbers >= 0]
        spans = zip(index.offset[numbers].tolist(), index.length[numbers].tolist(), strict=True)
        raw = dict(zip(numbers.tolist(), self._place.read(self._path, list(spans)), strict=True))
        for number in numbers[~index.sound[numbers]].tolist():
            if zlib.crc32(raw[number]) != index.crc32[number]:
                raise StoreError(self._damaged(number))
            index.sound[number] = True
        return Blocks(self, raw)

    def whose(self, block: int) -> str:
        """Return the series and days of a block, in words."""
        rows = np.flatnonzero(self.index.block == block)
        series, days = self.index.series[rows], np.array([self.index.from_day[rows[0]], self.index.to_day[rows[-1]]])
        first, last = days.astype("datetime64[D]").tolist()
        which = f"series {series[0]}" if series[0] == series[-1] else f"series {series[0]} to {series[-1]}"
        return f"{which} from {first} to {last}"

    def _damaged(self, blob: int) -> str:
        blocks, columns = np.nonzero(self.index.cells == blob)
        shown = "; ".join(self.whose(block) for block in np.unique(blocks)[:3].tolist())
        more = len(np.unique(blocks)) - 3
        shown += f" and {more} more" if more > 0 else ""
        return f"segment {self.name} is damaged in {list(NUMBERS)[columns[0]]} of {shown}: restore it from a copy."


class Blocks:
    """Blocks of one segment whose bytes are at hand; each shared blob is decoded once."""

    def __init__(self, file: RollupFile, raw: Mapping[int, bytes]) -> None:
        self._file, self._raw = file, raw
        self.index = file.index
        self.n = file.index.block_n
        self._edges = np.searchsorted(file.index.block, np.arange(len(self.n) + 1))
        self._shared = np.bincount(file.index.cells[file.index.cells >= 0], minlength=1) > 1
        self._held: dict[tuple[int, str, int], Array] = {}

    def column(self, block: int, name: str, out: Array | None = None) -> Array:
        """Return one column of a block, into `out` where that is given and the blob belongs to this block alone.

        The array may be shared: it is not to be changed unless it is `out`.

        Raises
        ------
        StoreError
            If the bytes do not decode; the message names the segment.
        """
        index = self._file.index
        n, number = int(self.n[block]), int(index.cells[block, NUMBERS[name]])
        if number < 0:
            if name == "bucket":
                return self._regular(block)
            raise StoreError(
                f"segment {self._file.name} has no column {name} in block {block}: restore it from a copy."
            )
        held = self._held.get((number, name, n))
        if held is None:
            get: Callable[[str], Array] = lambda other: self.column(block, other)  # noqa: E731
            blob = int(index.codec[number]), self._raw[number]
            alone = not self._shared[number]
            try:
                held = decode_column(name, blob, n, self._file.step, get, out if alone else None)
            except ValueError as error:
                raise StoreError(
                    f"segment {self._file.name} does not decode ({error}): restore it from a copy."
                ) from error
            if not alone and blob[0] and not name.startswith("t_"):
                self._held[number, name, n] = held
        if out is not None and held is not out:
            out[:] = held
            return out
        return held

    def _regular(self, block: int) -> _Ints:
        """Return the bucket numbers of a block whose rows have no gaps."""
        index = self._file.index
        rows = slice(*self._edges[block : block + 2].tolist())
        n = index.n[rows]
        found: _Ints = np.repeat(index.low[rows] - index.at[rows], n) + np.arange(n.sum())
        return found

    def count(self, block: int) -> npt.NDArray[np.float64]:
        """Return the counts of a block as float64, NaN for 0; not to be changed."""
        number = int(self.index.cells[block, NUMBERS["count"]])
        key = number, "count as float", int(self.n[block])
        held = self._held.get(key)
        if held is None:
            whole = self.column(block, "count")
            held = np.where(whole > 0, whole, np.nan)
            if self._shared[number]:
                self._held[key] = held
        return held

    def sketches(self, block: int) -> Sketches:
        """Return the sketches of a block; raises as `column` does."""
        number = int(self._file.index.cells[block, NUMBERS["sketch"]])
        try:
            return decode_sketches(self._raw[number], int(self.n[block]))
        except (KeyError, ValueError) as error:
            raise StoreError(f"segment {self._file.name} does not decode ({error}): restore it from a copy.") from error

    def buckets(self, block: int, columns: Sequence[str] = COLUMNS) -> Buckets:
        """Return the buckets of a block, `series` being the row of the index that each belongs to."""
        index = self._file.index
        rows = np.arange(*self._edges[block : block + 2].tolist())
        found = {name: self.column(block, name) for name in columns}
        return Buckets(self._file.step, np.repeat(rows, index.n[rows]), self.column(block, "bucket"), found)
