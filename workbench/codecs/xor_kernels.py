"""The bit loops of XOR streams, compiled. Import this inside the function that needs it: numba takes long to load.

A stream is an array of 64-bit words, the first bit the highest of the first word. Positions and lengths are in bits.

References
----------
T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1; the layout is
that of Prometheus, `tsdb/chunkenc/xor.go` and `tsdb/docs/bstream.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from workbench.codecs.codec import Array

__all__ = ["CUT", "read", "write"]

CUT = -1
"""What `read` returns when the stream ends too early, or says what no writer says."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to write a cache: compile in every process
        made = njit(nogil=True)(function)
    return made


@_compiled
def _take(words: Array, at: Any, width: Any) -> Any:
    """Return `width` (1-64) bits from bit `at` on."""
    skip = at & 63
    bits = words[at >> 6] << np.uint64(skip)
    if skip + width > 64:
        bits |= words[(at >> 6) + 1] >> np.uint64(64 - skip)
    return bits >> np.uint64(64 - width)


@_compiled
def _put(words: Array, at: Any, bits: Any, width: Any) -> Any:
    """Write the low `width` (1-64) bits, all others being 0, at bit `at` of words that are 0 from there on."""
    free = 64 - (at & 63)
    if width <= free:
        words[at >> 6] |= bits << np.uint64(free - width)
    else:
        words[at >> 6] |= bits >> np.uint64(width - free)
        words[(at >> 6) + 1] = bits << np.uint64(64 + free - width)
    return at + width


@_compiled
def _leading(bits: Any) -> Any:
    """Return the number of zeros before the first one; `bits` is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bits >> np.uint64(64 - step) == 0:
            count += step
            bits <<= np.uint64(step)
    return count


@_compiled
def _trailing(bits: Any) -> Any:
    """Return the number of zeros behind the last one; `bits` is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bits << np.uint64(64 - step) == 0:
            count += step
            bits >>= np.uint64(step)
    return count


@_compiled
def _put_time(words: Array, at: Any, change: Any) -> Any:
    """Write how much a step between two times differs from the step before."""
    if change == 0:
        return at + 1
    for width, mark, size in ((14, 2, 2), (17, 6, 3), (20, 14, 4)):
        half = 1 << (width - 1)
        if -half < change <= half:
            at = _put(words, at, np.uint64(mark), size)
            return _put(words, at, np.uint64(change) & np.uint64((1 << width) - 1), width)
    at = _put(words, at, np.uint64(15), 4)
    return _put(words, at, np.uint64(change), 64)


@_compiled
def write(times: Array, bits: Array, words: Array) -> Any:
    """Write all samples but the first; return how many bits were written, and how many the last of all writes wrote.

    Parameters
    ----------
    times : ndarray of int64, shape (n,) or (0,)
        The first two are left to the caller; of shape (0,) when only values are written.
    bits : ndarray of uint64, shape (n,)
    words : ndarray of uint64, shape (2 n + 2,) or (3 n + 2,) with times, all 0
    """
    at, leading, trailing, last = 0, 64, 64, 1
    for i in range(1, len(bits)):
        if i > 1 and len(times):
            at = _put_time(words, at, (times[i] - times[i - 1]) - (times[i - 1] - times[i - 2]))
        change = bits[i] ^ bits[i - 1]
        if change == 0:
            at, last = at + 1, 1
            continue
        before, behind = min(_leading(change), 31), _trailing(change)
        if leading <= before and trailing <= behind:
            at = _put(words, at, np.uint64(2), 2)
        else:
            leading, trailing = before, behind
            width = 64 - leading - trailing
            at = _put(words, at, np.uint64((3 << 11) | (leading << 6) | (width & 63)), 13)
        last = 64 - leading - trailing
        at = _put(words, at, change >> np.uint64(trailing), last)
    return at, last


@_compiled
def _mark(words: Array, at: Any, end: Any) -> Any:
    """Return how many ones (at most 4) stand before a zero or the fourth one, or CUT."""
    for ones in range(4):
        if at + ones >= end:
            return CUT
        if _take(words, at + ones, 1) == 0:
            return ones
    return 4


@_compiled
def read(words: Array, end: Any, step: Any, times: Array, bits: Array) -> Any:
    """Fill in all samples but the first; return how many bits were read, or CUT.

    Parameters
    ----------
    words : ndarray of uint64, shape (end // 64 + 2,) or more
    end : int
        How many bits there are.
    step : int
        Between the first two times.
    times : ndarray of int64, shape (n,) or (0,)
        The first two are there; of shape (0,) when only values were written.
    bits : ndarray of uint64, shape (n,)
        The first is there.
    """
    at, trailing = 0, 0
    leading: Any = 0
    width: Any = 0
    for i in range(1, len(bits)):
        if i > 1 and len(times):
            ones = _mark(words, at, end)
            width = (0, 14, 17, 20, 64)[ones]
            at += min(ones + 1, 4)
            if ones == CUT or at + width > end:
                return CUT
            if width:
                change = np.int64(_take(words, at, width))
                if width < 64 and change > 1 << (width - 1):
                    change -= 1 << width
                step += change
            at += width
            times[i] = times[i - 1] + step
        if at >= end:
            return CUT
        bits[i] = bits[i - 1]
        at += 1
        if _take(words, at - 1, 1) == 0:
            continue
        if at >= end:
            return CUT
        if _take(words, at, 1) == 1:
            if at + 12 > end:
                return CUT
            leading = np.int64(_take(words, at + 1, 5))
            width = np.int64(_take(words, at + 6, 6))
            trailing = 64 - leading - (width if width else 64)
            at += 11
        at += 1
        if trailing < 0 or at + 64 - leading - trailing > end:
            return CUT
        bits[i] ^= _take(words, at, 64 - leading - trailing) << np.uint64(trailing)
        at += 64 - leading - trailing
    return at
