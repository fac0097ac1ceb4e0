"""Packed chunks unpacked many at once, compiled. Import this inside the function that needs it: numba takes long to load.

Every length is compared with the bytes and the numbers there are before anything is read or written; a chunk that
contradicts itself is marked and leaves the others alone. `packed.py` and `lanes.py` say the same slowly, and why not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled

__all__ = ["unpack_many"]

_BAD = -1
_U = np.uint64
_ONES = np.uint64(2**64 - 1)


@compiled
def _varint(data: Array, at: Any, end: Any) -> Any:
    """Return the zigzag number at byte `at` and where the next thing begins, `_BAD` when it does not end."""
    number, shift = _U(0), _U(0)
    for i in range(at, min(end, at + 10)):
        byte = _U(data[i])
        number |= (byte & _U(0x7F)) << shift
        if byte < _U(0x80):
            return np.int64(number >> _U(1)) ^ -np.int64(number & _U(1)), i + 1
        shift += _U(7)
    return np.int64(0), _BAD


@compiled
def _little(data: Array, at: Any, size: Any) -> Any:
    """Return the number of `size` bytes at byte `at`, the lowest first."""
    number = _U(0)
    for i in range(_U(size)):
        number |= _U(data[_U(at) + i]) << (_U(8) * i)
    return number


@compiled
def _block(words: Any, width: Any, rows: Any, out: Any, o: Any) -> None:
    """Unpack `rows` rows of four numbers of `width` bits; `words` holds a row of words more than is in use."""
    w, mask, o = _U(width), _ONES >> _U(64 - width), _U(o)
    for r in range(_U(rows)):
        bit = r * w
        a, s = (bit >> _U(6)) << _U(2), bit & _U(63)
        b, c, d = a + _U(1), a + _U(2), a + _U(3)
        n0, n1, n2, n3 = words[a] >> s, words[b] >> s, words[c] >> s, words[d] >> s
        if s + w > _U(64):  # seldom, and then of no use to compute always
            t = _U(64) - s
            n0 |= words[a + _U(4)] << t
            n1 |= words[b + _U(4)] << t
            n2 |= words[c + _U(4)] << t
            n3 |= words[d + _U(4)] << t
        out[o], out[o + _U(1)], out[o + _U(2)], out[o + _U(3)] = n0 & mask, n1 & mask, n2 & mask, n3 & mask
        o += _U(4)


@compiled
def _fill(data: Array, at: Any, end: Any, width: Any, rows: Any, last: Any, out: Any, o: Any, words: Any) -> Any:
    """Unpack the block whose words begin at byte `at`; return where they end, or `_BAD`."""
    bits = rows * width
    whole, kept = (bits + 63) >> 6, 0
    if last and bits & 63:
        whole, kept = whole - 1, ((bits & 63) + 7) >> 3
    stop = at + 32 * whole + 4 * kept
    if stop > end:
        return _BAD
    for i in range(_U(4 * whole)):
        b = _U(at) + (i << _U(3))
        word = _U(0)
        for j in range(_U(8)):
            word |= _U(data[b + j]) << (_U(8) * j)
        words[i] = word
    for lane in range(4):
        words[4 * whole + lane] = _little(data, at + 32 * whole + kept * lane, kept)
    _block(words, width, rows, out, o)
    return stop


@compiled
def _patches(data: Array, about: Any, end: Any, blocks: Any, based: Any) -> Any:
    """Return where the patches of the blocks described at byte `about` begin and end; `_BAD` twice when that is nowhere."""
    where, patches = about + 3 * blocks, np.int64(0)
    if where > end:
        return _BAD, _BAD
    for i in range(blocks):
        if data[about + i] > 64 or data[about + 2 * blocks + i] > 8:
            return _BAD, _BAD
        patches += np.int64(data[about + blocks + i]) * (1 + np.int64(data[about + 2 * blocks + i]))
        if based:
            _, where = _varint(data, where, end)
            if where == _BAD:
                return _BAD, _BAD
    return (_BAD, _BAD) if where + patches > end else (where, where + patches)


@compiled
def _patch(data: Array, at: Any, count: Any, size: Any, width: Any, inside: Any, out: Any, o: Any) -> Any:
    """Put high bits to the numbers of a block that need them; return whether all of these are in the block."""
    for k in range(count):
        place = np.int64(data[at + k])
        if place >= inside:
            return False
        if width < 64:
            out[o + place] |= _little(data, at + count + k * size, size) << _U(width)
    return True


@compiled
def _add_up(numbers: Any, n: Any, order: Any, first: Any, second: Any) -> None:
    """Turn differences into the numbers they are of."""
    if order:
        numbers[0] = first
    if order == 1:
        for j in range(_U(1), _U(n)):
            first += numbers[j]
            numbers[j] = first
    elif order == 2:
        first += second
        numbers[1] = first
        for j in range(_U(2), _U(n)):
            second += numbers[j]
            first += second
            numbers[j] = first


@compiled
def _stream(data: Array, at: Any, end: Any, n: Any, numbers: Any, words: Any) -> Any:
    """Fill `numbers` (int64, with room for 4 more than n) from the stream at byte `at`; return where it ends or `_BAD`."""
    form = np.int64(data[at] if at < end else 0xFF)
    order, first, second, base = form & 3, np.int64(0), np.int64(0), np.int64(0)
    if form > 7 or order > 2 or n < order:
        return _BAD
    at += 1
    if order > 0:
        first, at = _varint(data, at, end)
    if order > 1 and at != _BAD:
        second, at = _varint(data, at, end)
    if at == _BAD:
        return _BAD
    blocks = (n - order + 255) >> 8
    about, bases = at, at + 3 * blocks
    where, at = _patches(data, about, end, blocks, form & 4)
    if at == _BAD:
        return _BAD
    unsigned = numbers.view(np.uint64)
    for i in range(blocks):
        width, o = np.int64(data[about + i]), order + (i << 8)
        inside = min(256, n - o)
        if width:
            at = _fill(data, at, end, width, (inside + 3) >> 2, i == blocks - 1, unsigned, o, words)
            if at == _BAD:
                return _BAD
        else:
            for j in range(_U(o), _U(o + inside)):
                unsigned[j] = _U(0)
        count, size = np.int64(data[about + blocks + i]), np.int64(data[about + 2 * blocks + i])
        if not _patch(data, where, count, size, width, inside, unsigned, o):
            return _BAD
        where += count * (1 + size)
        if form & 4:
            step, bases = _varint(data, bases, end)
            base += step
            for j in range(_U(o), _U(o + inside)):
                numbers[j] += base
        else:
            for j in range(_U(o), _U(o + inside)):
                numbers[j] = np.int64(unsigned[j] >> _U(1)) ^ -np.int64(unsigned[j] & _U(1))
    _add_up(numbers, n, order, first, second)
    return at


@compiled
def _plain(data: Array, at: Any, end: Any, n: Any, values: Any, numbers: Any, words: Any, powers: Any) -> Any:
    """Fill `values` from a chunk without a table; return where it ends or `_BAD`."""
    if at + 2 > end or data[at] > 15 or data[at] & 3 == 3:
        return _BAD
    head, exponent, at = np.int64(data[at]), np.int64(data[at + 1]), at + 2
    kind = head & 3
    if (kind == 2 and (head != 2 or exponent)) or exponent >= powers.shape[1]:
        return _BAD
    bad, n_bad = at + 4, np.int64(0)
    if head & 4:
        if bad > end:
            return _BAD
        n_bad = np.int64(_little(data, at, 4))
        at = bad + 12 * n_bad
        if n_bad > n or at > end:
            return _BAD
    at = _stream(data, at, end, n, numbers, words)
    if at == _BAD:
        return _BAD
    bits = values.view(np.int64)
    if kind == 2:
        for i in range(_U(n)):
            bits[i] = numbers[i]
    elif kind == 0 and exponent == 0:
        for i in range(_U(n)):
            values[i] = np.float64(numbers[i])
    else:
        power, times = powers[kind, exponent], kind == 1
        for i in range(_U(n)):
            values[i] = np.float64(numbers[i]) * power if times else np.float64(numbers[i]) / power
    if head & 8:
        at = _stream(data, at, end, n, numbers, words)
        if at == _BAD:
            return _BAD
        for i in range(_U(n)):
            bits[i] += numbers[i]
    for i in range(n_bad):
        place = np.int64(_little(data, bad + 12 * i, 4))
        if place >= n:
            return _BAD
        bits[place] = np.int64(_little(data, bad + 12 * i + 4, 8))
    return at


@compiled
def _chunk(
    data: Array, at: Any, end: Any, n: Any, values: Any, table: Any, numbers: Any, words: Any, powers: Any
) -> Any:
    """Fill `values` from a chunk; return where it ends or `_BAD`."""
    if at + 2 > end or data[at] != 3:
        return _plain(data, at, end, n, values, numbers, words, powers)
    count, shift, more, at = np.int64(0), 0, data[at + 1] == 0, at + 2
    while more:
        if at >= end or shift > 28:
            return _BAD
        count |= np.int64(data[at] & 0x7F) << shift
        more, at, shift = data[at] > 0x7F, at + 1, shift + 7
    if count < 1 or count > n:
        return _BAD
    at = _plain(data, at, end, count, table, numbers, words, powers)
    if at == _BAD:
        return _BAD
    at = _stream(data, at, end, n, numbers, words)
    if at == _BAD:
        return _BAD
    places = numbers.view(np.uint64)
    for i in range(_U(n)):
        if places[i] >= _U(count):
            return _BAD
        values[i] = table[places[i]]
    return at


@compiled
def unpack_many(
    data: Array, at: Array, length: Array, count: Array, begin: Array, end: Array, target: Array, out: Array,
    powers: Array,
) -> Array:  # fmt: skip
    """Unpack chunks into `out`: of chunk i the values `begin[i]` to `end[i]`, from `out[target[i]]` on.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes of all chunks.
    at, length, count : ndarray of int64, shape (k,)
        Where each chunk lies, and how many values it holds.
    begin, end, target : ndarray of int64, shape (k,)
    out : ndarray of float64, one-dimensional
    powers : ndarray of float64, shape (2, e)
        `10**e` and `10**-e`.

    Returns
    -------
    ndarray of bool, shape (k,)
        Which chunks are whole. Of the others nothing is written.
    """
    sound = np.zeros(len(at), np.bool_)
    most = 0
    for i in range(len(at)):
        most = max(most, count[i])
    values, table = np.empty(most), np.empty(most)
    numbers, words = np.empty(most + 4, np.int64), np.zeros(65 * 4, np.uint64)
    for i in range(len(at)):
        n, a, b, t = count[i], begin[i], end[i], target[i]
        stop = at[i] + length[i]
        if at[i] < 0 or length[i] < 0 or stop > len(data) or a < 0 or a > b or b > n or t < 0 or t + b - a > len(out):
            continue
        if _chunk(data, at[i], stop, n, values, table, numbers, words, powers) == stop:
            for j in range(_U(b - a)):
                out[_U(t) + j] = values[_U(a) + j]
            sound[i] = True
    return sound
