"""The byte loop over the native histograms of remote-write requests, compiled. Import this inside the function that needs it.

Both versions spell them alike. It is run twice: with arrays of no length it only counts.

References
----------
Prometheus, `prompb/types.proto`, `prompb/io/prometheus/write/v2/types.proto`, message Histogram.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled
from workbench.codecs.xor_kernels import CUT, varint
from workbench.sources.remote_write_kernels import read_field

__all__ = ["scan_histograms"]


@compiled
def _fixed(data: Array, at: Any) -> Any:
    value = np.uint64(0)
    for i in range(8):
        value |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return value


@compiled
def _folded(value: Any) -> Any:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@compiled
def _span(data: Array, at: Any, end: Any, spans: Array, n: Any) -> Any:
    """Read a span into row n where there is one; return whether it could be read."""
    offset, length = np.int64(0), np.int64(0)
    while at < end:
        field, kind, value, _, at = read_field(data, at, end)
        if at == CUT or (field <= 2 and kind != 0) or value > np.uint64(2**33):
            return False
        if field == 1:
            offset = _folded(value)
        elif field == 2:
            length = np.int64(value)
    if n < len(spans):
        spans[n, 0], spans[n, 1] = offset, length
    return True


@compiled
def _numbers(data: Array, at: Any, end: Any, wide: Any, out: Array, n: Any) -> Any:
    """Read packed numbers, eight bytes each or folded groups of seven bits, from row n on; return the last row or CUT."""
    while at < end:
        if wide:
            if end - at < 8:
                return CUT
            bits, at = _fixed(data, at), at + 8
        else:
            change, at = varint(data, at, end)
            if at == CUT:
                return CUT
            bits = np.uint64(change)
        if n < len(out):
            out[n] = bits
        n += 1
    return n


@compiled
def _list(data: Array, kind: Any, value: Any, low: Any, end: Any, wide: Any, out: Array, n: Any) -> Any:
    """Read a repeated field, packed or one by one; return the last row or CUT."""
    if kind == 2:
        return _numbers(data, low, end, wide, out, n)
    if kind != (1 if wide else 0):
        return CUT
    if n < len(out):
        out[n] = _fixed(data, low) if wide else np.uint64(_folded(value))
    return n + 1


@compiled
def _floats(data: Array, at: Any, end: Any) -> Any:
    """Return 1 where counts are floats, 0 where they are whole numbers, CUT where the message cannot be read."""
    found = 0
    while at < end:
        field, kind, _, _, at = read_field(data, at, end)
        if at == CUT:
            return CUT
        if field <= 2:
            if kind != field - 1:
                return CUT
            found = field - 1
    return found


@compiled
def _head(data: Array, field: Any, kind: Any, value: Any, low: Any, floats: Any, row: Array, four: Array) -> Any:
    """Take note of a field that stands alone; return whether it is of its type."""
    if field == 4 or field == 14 or field == 15:
        if kind != 0:
            return False
        if field == 4:
            row[2] = _folded(value)
        elif field == 14:
            row[3] = min(value, np.uint64(99))
        else:
            row[1] = np.int64(value)
        return True
    whole = field == 1 or field == 6
    if kind != (0 if whole else 1):
        return False
    if whole == floats and field != 3 and field != 5:
        return True
    place = (0, 2, 2, 3, 0, 0, 1, 1)[field]
    four[place] = value if whole else _fixed(data, low)
    return True


@compiled
def _histogram(
    data: Array, at: Any, end: Any, row: Array, four: Array,
    ups: Array, downs: Array, highs: Array, lows: Array, bounds: Array, sizes: Array,
) -> Any:  # fmt: skip
    """Read one message; return whether it could be read."""
    floats = _floats(data, at, end)
    if floats == CUT:
        return False
    row[1:] = 0
    four[:] = 0
    row[4] = floats
    while at < end:
        field, kind, value, low, at = read_field(data, at, end)
        if at == CUT:
            return False
        if field <= 7 or field == 14 or field == 15:
            if not _head(data, field, kind, value, low, floats == 1, row, four):
                return False
        elif field == 8 or field == 11:
            up = field == 11
            n = sizes[1] if up else sizes[2]
            if kind != 2 or not _span(data, low, at, ups if up else downs, n):
                return False
            sizes[1 if up else 2] += 1
            row[5 if up else 6] += 1
        elif field <= 13 or field == 16:
            side = 5 if field == 16 else 3 if field > 10 else 4
            wide = field == 10 or field == 13 or field == 16
            if field != 16 and wide != (floats == 1):
                continue
            n = _list(
                data, kind, value, low, at, wide, bounds if side == 5 else highs if side == 3 else lows, sizes[side]
            )
            if n == CUT:
                return False
            row[9 if side == 5 else 4 + side] += n - sizes[side]
            sizes[side] = n
    return True


@compiled
def scan_histograms(
    data: Array, places: Array, heads: Array, fours: Array, ups: Array, downs: Array, highs: Array, lows: Array,
    bounds: Array, sizes: Array,
) -> Any:  # fmt: skip
    """Read histograms; return whether all could be read.

    Parameters
    ----------
    data : ndarray of uint8
    places : ndarray of int64, shape (m, 3)
        Series of each, its first byte and the one behind its last.
    heads, fours, ups, downs, highs, lows, bounds
        As of `Columns`; without rows they are not filled in.
    sizes : ndarray of int64, shape (6,)
        0 at first; filled in with the lengths of `heads`, `ups`, `downs`, `highs`, `lows`, `bounds`.
    """
    row, four = np.zeros(10, np.int64), np.zeros(4, np.uint64)
    for i in range(len(places)):
        row[0] = places[i, 0]
        if not _histogram(data, places[i, 1], places[i, 2], row, four, ups, downs, highs, lows, bounds, sizes):
            return False
        if sizes[0] < len(heads):
            heads[sizes[0]], fours[sizes[0]] = row, four
        sizes[0] += 1
    return True
