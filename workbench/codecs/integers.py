"""Integers in the narrowest type that holds them, as one pco page: bins of 16-bit numbers cost a quarter of 64-bit ones.

`[mark 1][base 8, if any][pco page]`. The mark: bits 0-1 the width (1, 2, 4, 8 bytes), bit 2 that a base is added to
every number, bit 3 that the numbers are differences and the base comes before the first of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.codecs import page
from workbench.codecs.codec import Array

__all__ = ["pack", "pack_narrow", "unpack", "unpack_narrow"]

_KINDS = tuple(np.dtype(f"<i{1 << w}") for w in range(4))
_BASE, _STEPS = 4, 8
_INT64 = struct.Struct("<q")
_SAFE = 2**62


def _width(low: int, high: int) -> int:
    reach = max(high, -1 - low)
    return 0 if reach < 2**7 else 1 if reach < 2**15 else 2 if reach < 2**31 else 3


def pack(array: Array, deltas: Sequence[str], level: int = 8) -> bytes:
    """Return the bytes of integers.

    Parameters
    ----------
    array : ndarray of int64, shape (n,), 1 <= n <= page.LONGEST, contiguous
    deltas : sequence of str
        As for `page.pack`; "steps" beside them also tries differences in a type of their own, where that is narrower.
    level : int
        Effort of pco.
    """
    low, high = int(array.min()), int(array.max())
    inside = tuple(d for d in deltas if d != "steps")
    width, base, shifted = _width(low, high), 0, array
    middle = low + (high - low + 1) // 2
    if width and _width(low - middle, high - middle) < width:
        width, base, shifted = _width(low - middle, high - middle), middle, array - middle
    best = _page(_BASE if base else 0, width, base, shifted, inside, level)
    if len(inside) < len(deltas) and len(array) > 2 and low > -_SAFE and high < _SAFE:
        steps = np.diff(array)
        narrow = _width(int(steps.min()), int(steps.max()))
        if narrow < width:
            other = _page(_BASE | _STEPS, narrow, int(array[0]), steps, ("none",), level)
            return other if len(other) * page.SLOWER < len(best) else best
    return best


def pack_narrow(array: Array, deltas: Sequence[str], level: int = 8) -> bytes:
    """Return the bytes of integers (as `pack` takes them) with neither base nor differences, for `unpack_narrow`."""
    return _page(0, _width(int(array.min()), int(array.max())), 0, array, deltas, level)


def _page(flags: int, width: int, base: int, array: Array, deltas: Sequence[str], level: int) -> bytes:
    mark, body = page.pack(array.astype(_KINDS[width], copy=False), deltas, level)
    head = bytes((mark | flags | width,))
    return head + _INT64.pack(base) + body if flags & _BASE else head + body


def unpack(data: bytes, at: int, out: Array, power: Any = None) -> None:
    """Fill `out` from the bytes from `at` on.

    Parameters
    ----------
    out : ndarray of int64, or of float64 when every number is within 2**53
    power : float64, optional
        What the numbers are divided by, for float64.

    Raises
    ------
    ValueError
        If the bytes do not hold exactly that many integers.
    """
    mark = data[at] if at < len(data) else 0x7F
    if mark & 0x7F < _BASE and power is not None:
        np.divide(unpack_narrow(data, at, len(out)), power, out=out)
        return
    steps = 1 if mark & _STEPS else 0
    base, at = 0, at + 1
    if mark & 0x7F > 15 or (steps and not mark & _BASE) or len(out) <= steps:
        raise ValueError("integers have a broken head")
    if mark & _BASE:
        if len(data) < at + 8:
            raise ValueError("integers are cut short")
        base, at = _INT64.unpack_from(data, at)[0], at + 8
    narrow = np.empty(len(out) - steps, _KINDS[mark & 3])
    page.unpack(mark, data, at, narrow)
    if steps:
        out[0] = base
        out[1:] = narrow
        np.cumsum(out, out=out)
    else:
        np.add(narrow, out.dtype.type(base), out=out)
    if power is not None:
        np.divide(out, power, out=out)


def unpack_narrow(data: bytes, at: int, n: int) -> Array:
    """Return n integers in the type they are stored in; base and differences are not allowed.

    Raises
    ------
    ValueError
        If the bytes do not hold exactly that many integers, or a base.
    """
    mark = data[at] if at < len(data) else 0x7F
    if mark & 0x7F >= _BASE:
        raise ValueError("integers without a base have a broken head")
    narrow = np.empty(n, _KINDS[mark & 3])
    page.unpack(mark, data, at + 1, narrow)
    return narrow
