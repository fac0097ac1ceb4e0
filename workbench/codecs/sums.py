"""Running sums of decimals: `sum += 0.003217` in float64 leaves values that are no decimals, but nearly.

Exporters keep every `*_seconds_sum` so. The increments are decimals; adding them up again in the same order gives
almost the same floats, and the difference in the last bits is small. Where a sum is reset the chain begins anew.
Addition is that of IEEE 754, strictly one after the other (`numpy.cumsum`), so it gives the same bits everywhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import integers, page, scale, varint
from workbench.codecs.codec import Array

__all__ = ["Sums", "add_up"]

_POWERS = 16
_RESTARTS = 0x20
_MOST_RESTARTS = 16
_NEAR = 64
_APART = 512
_PROBE = 64
_TRIED = ("none", "first", "second")
_HEAD = struct.Struct("<Bd")


@dataclass(frozen=True)
class Sums:
    """`[head 1][first value 8][m varint][m bytes: integers, increments][integers: differences of bits]`.

    The head: bits 0-4 the exponent e, bit 5 that an increment k < 0 begins a new chain at `(-1 - k) / 10**e`. Else an
    increment k adds `k / 10**e`. The bits of value and running sum, as int64, are subtracted with wrapping.
    """

    id: ClassVar[int] = 8
    name: ClassVar[str] = "sums"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when the values are not nearly running sums of decimals."""
        if not 3 <= len(array) <= page.LONGEST or not np.isfinite(array).all():
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.diff(array)
            falls = np.flatnonzero(steps < 0)
            restarts = 0 < len(falls) <= _MOST_RESTARTS and bool((array[falls + 1] >= 0).all())
            exponent = _exponent(array, steps)
            if exponent is None:
                return None
            scaled = np.rint(steps * scale.POWERS[exponent])
            if restarts:
                scaled[falls] = -1.0 - np.rint(array[falls + 1] * scale.POWERS[exponent])
            if not (np.abs(scaled) <= scale.EXACT).all():
                return None
            numbers = scaled.astype(np.int64)
            head = exponent | (_RESTARTS if restarts else 0)
            sums = np.empty_like(array)
            add_up(float(array[0]), numbers, head, sums)
        off = array.view(np.int64)[1:] - sums.view(np.int64)[1:]
        first = integers.pack(numbers, _TRIED)
        start = _HEAD.pack(head, array[0]) + varint.write(len(first))
        return start + first + integers.pack(off, (*_TRIED, "steps"))

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if len(data) < _HEAD.size or data[0] & 0x1F >= _POWERS or data[0] > 0x3F or len(out) < 3:
            raise ValueError("a chunk of sums has a broken head")
        head, first = _HEAD.unpack_from(data)
        size, at = varint.read(data, _HEAD.size)
        if at + size > len(data):
            raise ValueError("a chunk of sums is cut short")
        numbers = np.empty(len(out) - 1, np.int64)
        integers.unpack(data[: at + size], at, numbers)
        with np.errstate(over="ignore", invalid="ignore"):
            add_up(first, numbers, head, out)
        integers.unpack(data, at + size, numbers)
        bits = out.view(np.int64)[1:]
        bits += numbers


def _exponent(array: Array, steps: Array) -> int | None:
    """Return the smallest exponent whose increments lead from most values nearly to the next, or None.

    Nearly is within 64 of the floats around a value, of at least 512 that lie between two decimals: else any value
    would do.
    """
    some = np.flatnonzero(steps)
    some = some[:: max(1, len(some) // _PROBE)]
    powers = scale.POWERS[:_POWERS]
    powers = powers[powers * np.spacing(np.abs(array).max()) * _APART <= 1.0]
    if not len(some) or not len(powers):
        return None
    reached = array[some, None] + np.rint(steps[some, None] * powers) / powers
    off = np.abs(reached.view(np.int64) - array[some + 1, None].view(np.int64))
    good = np.flatnonzero(np.median(off, axis=0) <= _NEAR)
    return int(good[0]) if len(good) else None


def add_up(first: float, numbers: Array, head: int, out: Array) -> None:
    """Fill `out` with the running sums: from the first value on, and from every increment that begins a new chain."""
    out[0] = first
    np.divide(numbers, scale.POWERS[head & 0x1F], out=out[1:])
    starts = np.flatnonzero(numbers < 0) + 1 if head & _RESTARTS else numbers[:0]
    if len(starts) > _MOST_RESTARTS:
        raise ValueError("a chunk of sums begins more chains than it may")
    out[starts] = (-1 - numbers[starts - 1]) / scale.POWERS[head & 0x1F]
    for a, b in zip([0, *starts.tolist()], [*starts.tolist(), len(out)], strict=True):
        np.cumsum(out[a:b], out=out[a:b])
