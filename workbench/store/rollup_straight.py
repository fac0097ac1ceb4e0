"""Windows that are exactly the buckets of a level: their blobs are decoded straight into the rows of the result.

Bytes are fetched for some series at a time, so that they are still in the processor's cache when they are decoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workbench.store.rollup_columns import NUMBERS
from workbench.store.rollup_file import Blocks, RollupFile
from workbench.store.rollup_tiles import NEEDS

__all__ = ["straight"]

_BYTES = 2**20

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def straight(
    file: RollupFile, rows: _Ints, function: str, out: _Floats, target: _Ints, span: tuple[int, int], zero: int
) -> None:
    """Fill some rows of `out` from the buckets of a segment.

    Parameters
    ----------
    file : RollupFile
    rows : ndarray of int64, shape (r,)
        Rows of its index.
    function : str
        One of `rollup_tiles.NEEDS`, but no quantile.
    out : ndarray of float64, shape (n, k)
    target : ndarray of int64, shape (r,)
        Row of `out` for each.
    span : (int, int)
        Bucket numbers wanted, (first, last].
    zero : int
        Number of the bucket before the one that goes to column 0.

    Raises
    ------
    StoreError
        If bytes are damaged; the message names them.
    """
    index = file.index
    columns = NEEDS[function] if function in ("avg", "count") else NEEDS[function][1:]
    first, n, at = index.low[rows], index.n[rows], index.at[rows]
    low, high = np.maximum(first, span[0] + 1), np.minimum(index.high[rows], span[1])
    regular = index.high[rows] - first + 1 == n
    blocks = Blocks(file)
    whole = regular & (high - low + 1 == n) & (blocks.n[index.block[rows]] == n)
    begin = np.where(regular, at + low - first, at)
    end = np.where(regular, at + high - first + 1, at + n)
    spots = [array.tolist() for array in (target, index.block[rows], begin, end, low - zero - 1, regular, whole)]
    with np.errstate(invalid="ignore"):
        for a, b in _groups(file, rows, columns):
            blocks.load(index.block[rows[a:b]], columns)
            for i, block, x, y, column, even, alone in zip(*(spot[a:b] for spot in spots), strict=True):
                if alone:
                    _whole(blocks, block, function, out[i, column : column + y - x])
                elif even and x < y:
                    out[i, column : column + y - x] = _some(blocks, block, function, slice(x, y))
                elif not even:
                    numbers = blocks.column(block, "bucket")[x:y]
                    p, q = np.searchsorted(numbers, span, side="right").tolist()
                    out[i, numbers[p:q] - zero - 1] = _some(blocks, block, function, slice(x + p, x + q))


def _groups(file: RollupFile, rows: _Ints, columns: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield rows whose bytes come to about `_BYTES`."""
    index = file.index
    cells = index.cells[index.block[rows], NUMBERS[columns[-1]]]
    part = np.cumsum(index.length[cells]) // _BYTES
    edges = np.append(np.flatnonzero(np.diff(part, prepend=-1)), len(rows)).tolist()
    yield from itertools.pairwise(edges)


def _whole(blocks: Blocks, block: int, function: str, out: _Floats) -> None:
    """Put a function of all buckets of a block into `out`."""
    if function == "avg":
        blocks.column(block, "sum", out)
        np.divide(out, blocks.count(block), out=out)
    elif function == "delta":
        np.subtract(blocks.column(block, "last"), blocks.column(block, "first"), out=out)
    elif function == "count":
        out[:] = blocks.count(block)
    else:
        blocks.column(block, function, out)


def _some(blocks: Blocks, block: int, function: str, which: slice) -> _Floats:
    """Return a function of some buckets of a block."""
    if function == "avg":
        mean: _Floats = blocks.column(block, "sum")[which] / blocks.count(block)[which]
        return mean
    if function == "delta":
        difference: _Floats = blocks.column(block, "last")[which] - blocks.column(block, "first")[which]
        return difference
    found: _Floats = blocks.count(block)[which] if function == "count" else blocks.column(block, function)[which]
    return found
