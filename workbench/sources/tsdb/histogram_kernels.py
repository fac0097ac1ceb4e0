"""The byte loop over records of native histograms in a log, compiled. Import this inside the function that needs it.

It is run twice: with arrays of no length it only counts.

References
----------
Prometheus, `tsdb/record/record.go`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled
from workbench.codecs.xor_kernels import CUT, uvarint, varint

__all__ = ["scan_histograms"]

_CUSTOM = -53


@compiled
def _be64(data: Array, at: Any) -> Any:
    value = np.uint64(0)
    for i in range(8):
        value = value << np.uint64(8) | np.uint64(data[at + i])
    return value


@compiled
def _number(data: Array, at: Any, end: Any, wide: Any) -> Any:
    """Return a number that stands as eight bytes or as groups of seven bits, and the byte behind it or CUT."""
    if not wide:
        return uvarint(data, at, end)
    if end - at < 8:
        return np.uint64(0), CUT
    return _be64(data, at), at + 8


@compiled
def _spans(data: Array, at: Any, end: Any, spans: Array, sizes: Array, side: Any) -> Any:
    """Read the spans of one side; return how many there are, and the byte behind them or CUT."""
    n, at = uvarint(data, at, end)
    if at == CUT or n > np.uint64(end - at):
        return np.int64(0), CUT
    for _ in range(np.int64(n)):
        offset, at = varint(data, at, end)
        if at == CUT:
            return np.int64(0), CUT
        length, at = uvarint(data, at, end)
        if at == CUT or length > np.uint64(2**31):
            return np.int64(0), CUT
        if sizes[1 + side] < len(spans):
            spans[sizes[1 + side], 0], spans[sizes[1 + side], 1] = offset, np.int64(length)
        sizes[1 + side] += 1
    return np.int64(n), at


@compiled
def _numbers(data: Array, at: Any, end: Any, wide: Any, out: Array, sizes: Array, kind: Any) -> Any:
    """Read a list of numbers; return how many there are, and the byte behind them or CUT."""
    n, at = uvarint(data, at, end)
    if at == CUT or n > np.uint64(end - at):
        return np.int64(0), CUT
    for _ in range(np.int64(n)):
        if wide:
            bits, at = _number(data, at, end, True)
        else:
            change, at = varint(data, at, end)
            bits = np.uint64(change)
        if at == CUT:
            return np.int64(0), CUT
        if sizes[kind] < len(out):
            out[sizes[kind]] = bits
        sizes[kind] += 1
    return np.int64(n), at


@compiled
def _histogram(
    data: Array, at: Any, end: Any, floats: Any, row: Array, four: Array,
    ups: Array, downs: Array, highs: Array, lows: Array, bounds: Array, sizes: Array,
) -> Any:  # fmt: skip
    """Read one histogram from its hint on; return the byte behind it or CUT."""
    if at >= end:
        return CUT
    row[3], row[4] = data[at], floats
    row[2], at = varint(data, at + 1, end)
    for i in range(4):  # threshold, zeros, count, sum
        if at == CUT:
            return CUT
        four[i], at = _number(data, at, end, floats or i == 0 or i == 3)
    if at == CUT:
        return CUT
    row[5], at = _spans(data, at, end, ups, sizes, 0)
    if at == CUT:
        return CUT
    row[6], at = _spans(data, at, end, downs, sizes, 1)
    if at == CUT:
        return CUT
    row[7], at = _numbers(data, at, end, floats, highs, sizes, 3)
    if at == CUT:
        return CUT
    row[8], at = _numbers(data, at, end, floats, lows, sizes, 4)
    row[9] = 0
    if at != CUT and row[2] == _CUSTOM:
        row[9], at = _numbers(data, at, end, True, bounds, sizes, 5)
    return at


@compiled
def _begun(data: Array, at: Any, end: Any, first: Any) -> Any:
    """Return the byte behind a start time: a number, or a mark that says none, as before, or that a number follows."""
    if not first:
        if at >= end:
            return CUT
        at += 1
        if data[at - 1] < 2:
            return at
    _, at = varint(data, at, end)
    return at


@compiled
def scan_histograms(
    data: Array, begin: Array, end: Array, heads: Array, fours: Array, ups: Array, downs: Array, highs: Array,
    lows: Array, bounds: Array, sizes: Array,
) -> Any:  # fmt: skip
    """Read records of histograms, types 7 to 10, 12 and 13; return how many records could not be read to their ends.

    Parameters
    ----------
    begin, end : ndarray of int64, shape (r,)
        Where each record lies, its type included; one that cannot be read gives nothing.
    heads, fours, ups, downs, highs, lows, bounds
        As of `Columns`; without rows they are not filled in.
    sizes : ndarray of int64, shape (6,)
        0 at first; filled in with the lengths of `heads`, `ups`, `downs`, `highs`, `lows`, `bounds`.
    """
    broken = 0
    row, four = np.zeros(10, np.int64), np.zeros(4, np.uint64)
    for record in range(len(begin)):
        at, stop, before = begin[record] + 1, end[record], sizes.copy()
        kind = data[begin[record]]
        newer, floats = kind == 12 or kind == 13, kind == 8 or kind == 10 or kind == 13
        base, moment = np.int64(0), np.int64(0)
        if not newer and stop - at >= 16:
            base, moment = np.int64(_be64(data, at)), np.int64(_be64(data, at + 8))
            at += 16
        elif not newer and stop - at > 0:
            at = CUT
        while at != CUT and at < stop:
            change, at = varint(data, at, stop)
            if at == CUT:
                break
            shift, at = varint(data, at, stop)
            if at == CUT:
                break
            first = sizes[0] == before[0]
            if newer:
                base += change
                moment = shift if first else moment + shift
                at = _begun(data, at, stop, first)
                row[0], row[1] = base, moment
            else:
                row[0], row[1] = base + change, moment + shift
            if at != CUT:
                at = _histogram(data, at, stop, floats, row, four, ups, downs, highs, lows, bounds, sizes)
            if at != CUT:
                if sizes[0] < len(heads):
                    heads[sizes[0]], fours[sizes[0]] = row, four
                sizes[0] += 1
        if at == CUT:
            broken += 1
            sizes[:] = before
    return broken
