"""The bit loops of XOR streams, compiled. Import this inside the function that needs it: numba takes long to load.

A stream is an array of 64-bit words, the first bit the highest of the first word. Positions and lengths are in bits
unless they say bytes.

References
----------
T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1; the layout is
that of Prometheus, `tsdb/chunkenc/xor.go` and `tsdb/docs/bstream.md`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled

__all__ = ["CUT", "peek", "read", "read_many", "uvarint", "varint", "write"]

CUT = -1
"""What `read` returns when the stream ends too early, or says what no writer says."""


@compiled
def _take(words: Array, at: Any, width: Any) -> Any:
    """Return `width` (1-64) bits from bit `at` on."""
    skip = at & 63
    bits = words[at >> 6] << np.uint64(skip)
    if skip + width > 64:
        bits |= words[(at >> 6) + 1] >> np.uint64(64 - skip)
    return bits >> np.uint64(64 - width)


@compiled
def _put(words: Array, at: Any, bits: Any, width: Any) -> Any:
    """Write the low `width` (1-64) bits, all others being 0, at bit `at` of words that are 0 from there on."""
    free = 64 - (at & 63)
    if width <= free:
        words[at >> 6] |= bits << np.uint64(free - width)
    else:
        words[at >> 6] |= bits >> np.uint64(width - free)
        words[(at >> 6) + 1] = bits << np.uint64(64 + free - width)
    return at + width


@compiled
def _leading(bits: Any) -> Any:
    """Return the number of zeros before the first one; `bits` is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bits >> np.uint64(64 - step) == 0:
            count += step
            bits <<= np.uint64(step)
    return count


@compiled
def _trailing(bits: Any) -> Any:
    """Return the number of zeros behind the last one; `bits` is not 0."""
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bits << np.uint64(64 - step) == 0:
            count += step
            bits >>= np.uint64(step)
    return count


@compiled
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


@compiled
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


@compiled
def _mark(words: Array, at: Any, end: Any) -> Any:
    """Return how many ones (at most 4) stand before a zero or the fourth one, or CUT."""
    for ones in range(4):
        if at + ones >= end:
            return CUT
        if _take(words, at + ones, 1) == 0:
            return ones
    return 4


@compiled
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


@compiled
def peek(words: Array, at: Any) -> Any:
    """Return the 64 bits from bit `at` on."""
    skip = np.uint64(at & 63)
    return words[at >> 6] << skip | (words[(at >> 6) + 1] >> np.uint64(1)) >> (np.uint64(63) - skip)


@compiled
def uvarint(data: Array, at: Any, end: Any) -> Any:
    """Return the number of 7-bit groups at byte `at` (uint64), and the byte behind it, CUT where none is before `end`."""
    number, shift = np.uint64(0), 0
    while at < end and shift < 70:
        byte = np.uint64(data[at])
        at += 1
        if shift == 63 and byte > np.uint64(1):
            break
        number |= (byte & np.uint64(127)) << np.uint64(shift)
        if byte < np.uint64(128):
            return number, at
        shift += 7
    return number, CUT


@compiled
def varint(data: Array, at: Any, end: Any) -> Any:
    """Return as `uvarint` a number with a sign (int64): the lowest bit says that it is negative."""
    number, at = uvarint(data, at, end)
    return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), at


@compiled
def _head(data: Array, at: Any, end: Any, low: Any, high: Any, times: Array, bits: Array) -> Any:
    """Fill in the first sample of a chunk and the time of the second; return the byte its stream begins at, or CUT."""
    times[low], at = varint(data, at + 2, end)
    if at == CUT or at + 8 > end:
        return CUT
    value = np.uint64(0)
    for _ in range(8):
        value = value << np.uint64(8) | np.uint64(data[at])
        at += 1
    bits[low] = value
    if high - low > 1:
        step, at = uvarint(data, at, end)
        times[low + 1] = times[low] + np.int64(step)
    return at


@compiled
def read_many(
    data: Array, words: Array, begin: Array, end: Array, offsets: Array, times: Array, bits: Array, sound: Array
) -> None:
    """Fill in all samples of many chunks.

    One look at 64 bits shows a whole time and how the value behind it is written, so that a sample takes two looks.

    Parameters
    ----------
    data : ndarray of uint8
        All chunks, and 32 bytes more than the last of them needs.
    words : ndarray of uint64, shape (len(data) // 8,)
        The same bytes, eight in a word, the first in its highest bits.
    begin, end : ndarray of int64, shape (k,)
        The bytes of each chunk, its count included.
    offsets : ndarray of int64, shape (k + 1,)
        Chunk i owns samples `offsets[i]` to `offsets[i + 1]`.
    times : ndarray of int64, shape (m,)
    bits : ndarray of uint64, shape (m,)
    sound : ndarray of bool, shape (k,)
        Set to False where a chunk ends too early, or says what no writer says; nothing of it is to be used.
    """
    for chunk in range(len(begin)):
        low, high = offsets[chunk], offsets[chunk + 1]
        if low == high:
            continue
        at = _head(data, begin[chunk], end[chunk], low, high, times, bits)
        if at == CUT or not _stream(words, 8 * at, 8 * end[chunk], times[low:high], bits[low:high]):
            sound[chunk] = False


@compiled
def _stream(words: Array, at: Any, end: Any, times: Array, bits: Array) -> Any:
    """Fill in all but the first two times and the first value from bits `at` to `end`; return whether all are there."""
    if len(times) < 2:
        return True
    time, value = times[1], bits[0]
    step = time - times[0]
    trailing, used = np.int64(0), np.int64(64)
    for i in range(1, len(times)):
        look = peek(words, at)
        if i > 1:
            change, width = _change(words, at, look)
            at += width
            if at > end:
                return False
            look = look << np.uint64(width) if width < 64 else peek(words, at)
            step += change
            time += step
            times[i] = time
        if look >> np.uint64(63) == 0:
            at += 1
        else:
            if (look << np.uint64(1)) >> np.uint64(63) == 0:
                at += 2
            else:
                used = np.int64((look << np.uint64(7)) >> np.uint64(58))
                if used == 0:
                    used = np.int64(64)
                trailing = 64 - used - np.int64((look << np.uint64(2)) >> np.uint64(59))
                at += 13
            if trailing < 0 or at > end:
                return False
            value ^= peek(words, at) >> np.uint64(64 - used) << np.uint64(trailing)
            at += used
        bits[i] = value
        if at > end:
            return False
    return True


@compiled
def _change(words: Array, at: Any, look: Any) -> Any:
    """Return how much a step between two times differs from the step before, and in how many bits that is said."""
    if look >> np.uint64(63) == 0:
        return np.int64(0), 1
    ones = 1
    while ones < 4 and (look << np.uint64(ones)) >> np.uint64(63) != 0:
        ones += 1
    if ones == 4:
        return np.int64(peek(words, at + 4)), 68
    width = 11 + 3 * ones
    change = np.int64((look << np.uint64(ones + 1)) >> np.uint64(64 - width))
    if change > 1 << (width - 1):
        change -= 1 << width
    return change, ones + 1 + width
