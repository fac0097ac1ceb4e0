"""The bit loops of Prometheus' histogram chunks, compiled. Import this inside the function that needs it.

Every loop runs twice: with arrays of no length it only counts, so that the arrays of the second run have their sizes from
the chunk itself. Each bucket takes a bit at least, so no count exceeds the bits of its chunk.

References
----------
Prometheus, `tsdb/docs/format/chunks.md`, `tsdb/chunkenc/histogram.go`, `float_histogram.go`, `varbit.go`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled
from workbench.codecs.xor_kernels import CUT, peek

__all__ = ["BASE", "CUSTOM", "read_histograms"]

BASE = 1 << 20
"""Distance of the keys of buckets from 0, as in `read_histograms`; larger than any index of a bucket."""

CUSTOM = -53
"""The schema of histograms whose buckets have bounds of their own."""

_STALE = np.uint64(0x7FF0000000000002)


@compiled
def _varbit(words: Array, at: Any, end: Any) -> Any:
    """Return the number at bit `at` as it stands there, its width, and the bit behind it, CUT where it does not end."""
    look = peek(words, at)
    ones = 0
    while ones < 8 and (look << np.uint64(ones)) >> np.uint64(63) != 0:
        ones += 1
    width = (0, 3, 6, 9, 12, 18, 25, 56, 64)[ones]
    at += min(ones + 1, 8)
    if at + width > end:
        return np.uint64(0), width, CUT
    if width == 0:
        return np.uint64(0), width, at
    return peek(words, at) >> np.uint64(64 - width), width, at + width


@compiled
def _signed(words: Array, at: Any, end: Any) -> Any:
    """Return a number with a sign, and the bit behind it or CUT."""
    number, width, at = _varbit(words, at, end)
    value = np.int64(number)
    if 0 < width < 64 and value > np.int64(1) << np.int64(width - 1):
        value -= np.int64(1) << np.int64(width)
    return value, at


@compiled
def _xor(words: Array, at: Any, end: Any, state: Array) -> Any:
    """Bring value, leading and trailing zeros of one float up to the next sample; return the bit behind it or CUT."""
    if at + 2 > end + 1:
        return CUT
    look = peek(words, at)
    if look >> np.uint64(63) == 0:
        return at + 1 if at < end else CUT
    at += 2
    if (look << np.uint64(1)) >> np.uint64(63) != 0:
        state[1] = (look << np.uint64(2)) >> np.uint64(59)
        used = (look << np.uint64(7)) >> np.uint64(58)
        used = np.uint64(64) if used == 0 else used
        at += 11
        if state[1] + used > np.uint64(64):
            return CUT
        state[2] = np.uint64(64) - state[1] - used
    width = np.int64(64) - np.int64(state[1]) - np.int64(state[2])
    if at + width > end or width <= 0:
        return CUT
    state[0] ^= peek(words, at) >> np.uint64(64 - width) << state[2]
    return at + width


@compiled
def _spans(words: Array, at: Any, end: Any, negative: Any, keys: Array, n: Any) -> Any:
    """Read spans, writing the key of each bucket where there is room; return the number of keys and a bit, or CUT."""
    count, _, at = _varbit(words, at, end)
    if at == CUT or count > np.uint64(end - at):
        return n, CUT
    index = np.int64(0)
    for _ in range(np.int64(count)):
        length, _, at = _varbit(words, at, end)
        if at == CUT or length > np.uint64(end):
            return n, CUT
        offset, at = _signed(words, at, end)
        if at == CUT or abs(offset) >= BASE:
            return n, CUT
        index += offset
        if abs(index) + np.int64(length) >= BASE or n + np.int64(length) > end:
            return n, CUT
        for _ in range(np.int64(length)):
            if n < len(keys):
                keys[n] = -(BASE + index) if negative else BASE + index
            index += 1
            n += 1
    return n, at


@compiled
def _bounds(words: Array, at: Any, end: Any, bounds: Array) -> Any:
    """Read the bounds of custom buckets where there is room; return how many there are and a bit, or CUT."""
    count, _, at = _varbit(words, at, end)
    if at == CUT or count > np.uint64(end - at):
        return 0, CUT
    for i in range(np.int64(count)):
        number, _, at = _varbit(words, at, end)
        if at == CUT or (number == 0 and at + 64 > end):
            return 0, CUT
        value = (np.float64(number) - 1.0) / 1000.0
        if number == 0:
            value = np.array([peek(words, at)]).view(np.float64)[0]
            at += 64
        if i < len(bounds):
            bounds[i] = value
    return np.int64(count), at


@compiled
def _float(words: Array, at: Any) -> Any:
    return np.array([peek(words, at)]).view(np.float64)[0]


@compiled
def _head(words: Array, at: Any, end: Any, keys: Array, bounds: Array) -> Any:
    """Read what is common to all samples of a chunk: threshold, schema, numbers of positive and all keys and bounds, bit."""
    code = np.int64(peek(words, at) >> np.uint64(56))
    at += 8
    threshold = 0.0
    if code == 255:
        threshold = _float(words, at)
        at += 64
    elif code > 0:
        threshold = 2.0 ** (code - 244.0)
    if at > end:
        return threshold, np.int64(0), 0, 0, 0, CUT
    schema, at = _signed(words, at, end)
    positive, everything, n_bounds = 0, 0, 0
    if at != CUT:
        positive, at = _spans(words, at, end, False, keys, 0)
    if at != CUT:
        everything, at = _spans(words, at, end, True, keys, positive)
    if at != CUT and schema == CUSTOM:
        n_bounds, at = _bounds(words, at, end, bounds)
    return threshold, schema, positive, everything, n_bounds, at


@compiled
def _whole_sample(
    words: Array, at: Any, end: Any, first: Any, heads: Array, now: Array, step: Array, state: Array
) -> Any:
    """Bring a sample of whole numbers up to date; return the bit behind it or CUT.

    `heads` is time, count and count of zeros, three changes of them behind; `state[0]` the sum; `now` the differences of
    each bucket to the one before, `step` their changes.
    """
    for i in range(3):
        if first and i > 0:
            number, _, at = _varbit(words, at, end)
            change = np.int64(number)
        else:
            change, at = _signed(words, at, end)
        if at == CUT:
            return CUT
        if first:
            heads[i] = change
        else:
            heads[3 + i] += change
            heads[i] += heads[3 + i]
    if first:
        if at + 64 > end:
            return CUT
        state[0, 0] = peek(words, at)
        at += 64
    else:
        at = _xor(words, at, end, state[0])
    if at == CUT or state[0, 0] == _STALE:
        return at
    for i in range(len(now)):
        change, at = _signed(words, at, end)
        if at == CUT:
            return CUT
        if first:
            now[i] = change
        else:
            step[i] += change
            now[i] += step[i]
    return at


@compiled
def _float_sample(words: Array, at: Any, end: Any, first: Any, heads: Array, state: Array) -> Any:
    """Bring a sample of floats up to date: `state` is sum, count, count of zeros, then the buckets, each as `_xor` has it."""
    change, at = _signed(words, at, end)
    if at == CUT:
        return CUT
    if first:
        heads[0] = change
    else:
        heads[3] += change
        heads[0] += heads[3]
    for i in range(len(state)):
        place = (1, 2, 0)[i] if i < 3 else i
        if first:
            if at + 64 > end:
                return CUT
            state[place, 0] = peek(words, at)
            at += 64
        else:
            at = _xor(words, at, end, state[place])
            if at == CUT:
                return CUT
        if i == 2 and state[0, 0] == _STALE:
            return at
    return at


@compiled
def _emit(
    state: Array, now: Array, keys: Array, positive: Any, is_float: Any, out_key: Array, out_bucket: Array, cell: Any
) -> None:
    """Write the buckets of a sample, keys rising: the negative ones backwards, then the positive ones."""
    n = len(keys)
    running: Any = np.int64(0)
    for i in range(n):
        if i == positive:
            running = 0
        place = cell + (n - 1 - i if i >= positive else n - positive + i)
        out_key[place] = keys[i]
        if is_float:
            out_bucket[place] = state[3 + i : 4 + i, 0].copy().view(np.float64)[0]
        else:
            running += now[i]
            out_bucket[place] = running


@compiled
def _samples(
    words: Array, at: Any, end: Any, n: Any, is_float: Any, keys: Array, positive: Any, fixed: Any, hint: Any,
    whole: Array, numbers: Array, key: Array, bucket: Array, row: Any, cell: Any,
) -> Any:  # fmt: skip
    """Read the samples of a chunk from bit `at`; return how many cells they have, or CUT."""
    n_keys = len(keys)
    heads, now, step = np.zeros(6, np.int64), np.zeros(n_keys, np.int64), np.zeros(n_keys, np.int64)
    state = np.zeros((3 + n_keys if is_float else 1, 3), np.uint64)
    begun = cell
    for i in range(n):
        if is_float:
            at = _float_sample(words, at, end, i == 0, heads, state)
        else:
            at = _whole_sample(words, at, end, i == 0, heads, now, step, state)
        if at == CUT:
            return CUT
        stale = state[0, 0] == _STALE
        if len(whole):
            whole[row + i, 0], whole[row + i, 1] = heads[0], fixed[1]
            whole[row + i, 2] = hint if hint == 3 or i == 0 else 2
            whole[row + i, 3] = 0 if stale else n_keys
            counts = state[1:3, 0].copy().view(np.float64) if is_float else heads[1:3].astype(np.float64)
            numbers[row + i, 0], numbers[row + i, 1], numbers[row + i, 2] = fixed[0], counts[1], counts[0]
            numbers[row + i, 3] = state[0:1, 0].copy().view(np.float64)[0]
            if not stale:
                _emit(state, now, keys, positive, is_float, key, bucket, cell)
        cell += 0 if stale else n_keys
    return cell - begun


@compiled
def read_histograms(
    data: Array, words: Array, begin: Array, end: Array, encoding: Array, sizes: Array,
    whole: Array, numbers: Array, key: Array, bucket: Array, bounds: Array,
) -> None:  # fmt: skip
    """Read many chunks of histograms.

    Parameters
    ----------
    data, words, begin, end : as of `read_many`
    encoding : ndarray of int64, shape (k,)
        2 for chunks of whole numbers, 3 for those of floats.
    sizes : ndarray of int64, shape (k, 3)
        Filled in, when the other arrays have no length: how many samples, cells and custom bounds each chunk has, -1 samples
        where it cannot be read. Given, when they have.
    whole : ndarray of int64, shape (m, 4) or (0, 4)
        Time in ms, schema, hint (0 unknown, 1 reset, 2 none, 3 gauge), number of cells.
    numbers : ndarray of float64, shape (m, 4) or (0, 4)
        Zero threshold, count of zeros, count, sum.
    key : ndarray of int64, shape (c,) or (0,)
        `BASE + index` for a bucket of positive values, `-(BASE + index)` for one of negative values, rising.
    bucket : ndarray of float64, shape (c,) or (0,)
    bounds : ndarray of float64, shape (b,) or (0,)
    """
    row: Any = 0
    cell: Any = 0
    bound: Any = 0
    no_keys, no_bounds = np.empty(0, np.int64), np.empty(0, np.float64)
    filling = len(whole) > 0
    for i in range(len(begin)):
        if filling and sizes[i, 0] < 0:
            continue
        last, n = 8 * end[i], np.int64(data[begin[i]]) << 8 | np.int64(data[begin[i] + 1])
        flags, at = np.int64(data[begin[i] + 2]) >> 6, 8 * (begin[i] + 3)
        n_bounds = sizes[i, 2] if filling else 0
        own = bounds[bound : bound + n_bounds]
        threshold, schema, positive, n_keys, n_bounds, after = _head(words, at, last, no_keys, own)
        cells = CUT
        if after != CUT and n_keys <= last - at and n <= last - at:
            keys = np.empty(n_keys, np.int64)
            _head(words, at, last, keys, no_bounds)
            hint = (0, 2, 1, 3)[flags]
            cells = _samples(
                words, after, last, n, encoding[i] == 3, keys, positive, (threshold, schema), hint,
                whole, numbers, key, bucket, row, cell,
            )  # fmt: skip
        if not filling:
            sizes[i, 0], sizes[i, 1], sizes[i, 2] = (n, cells, n_bounds) if cells != CUT else (-1, 0, 0)
        elif cells != CUT:
            row, cell, bound = row + n, cell + cells, bound + n_bounds
