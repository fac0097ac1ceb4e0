"""Reading a rollup segment: its index in memory, the bytes of some blocks fetched, checked and decoded when asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import StoreError
from workbench.store.files import File
from workbench.store.places import Place
from workbench.store.rollup import COLUMNS, Buckets
from workbench.store.rollup_columns import BASES, LIKE, NUMBERS, decode_column, decode_sketches
from workbench.store.rollup_index import RollupIndex
from workbench.store.rollup_sketch import Sketches

__all__ = ["Blocks", "RollupFile"]

_Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


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
        """Return some blocks with their columns' bytes read and checked; raises as `Blocks.load` does."""
        found = Blocks(self)
        found.load(blocks, columns)
        return found

    def bytes_of(self, numbers: _Ints) -> dict[int, bytes]:
        """Return the bytes of some blobs, read together and checked once per process; raises as `Blocks.load` does."""
        index = self.index
        spans = zip(index.offset[numbers].tolist(), index.length[numbers].tolist(), strict=True)
        raw = dict(zip(numbers.tolist(), self._place.read(self._path, list(spans)), strict=True))
        for number in numbers[~index.sound[numbers]].tolist():
            if zlib.crc32(raw[number]) != index.crc32[number]:
                raise StoreError(self._damaged(number))
            index.sound[number] = True
        return raw

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

    def __init__(self, file: RollupFile) -> None:
        self._file = file
        self._raw: dict[int, bytes] = {}
        self.index = file.index
        self.n = file.index.block_n
        self._edges = np.searchsorted(file.index.block, np.arange(len(self.n) + 1))
        self._shared = np.bincount(file.index.cells[file.index.cells >= 0], minlength=1) > 1
        self._held: dict[tuple[int, str, int], Array] = {}

    def load(self, blocks: _Ints, columns: Sequence[str]) -> None:
        """Read the bytes of some columns of some blocks, in place of those read before; what is decoded stays.

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
        self._raw = self._file.bytes_of(numbers[numbers >= 0])

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
