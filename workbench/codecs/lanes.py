"""Integers in blocks of 256, each as narrow as most of its numbers, laid out in four lanes: made to be unpacked quickly.

Numbers, or their first or second differences, are cut into blocks. A block keeps the low `width` bits of every number in
words of 64 bits; the few numbers that need more have the rest of their bits behind it ("patches"). Number i of a block
is in lane `i % 4`, so that four neighbours are unpacked by the same shift.

```
[form 1][the first number, and the first difference: zigzag varints, as many as differences were taken]
[widths, one byte a block][patches, one byte a block][bytes of a patch, one byte a block]
[bases, a zigzag varint a block: of form 4]
[patches, by block: the position of each, one byte; then the high bits of each, in as many bytes as the block says]
[words of 8 bytes, by block, row and lane; of the very last row each word is cut to the bytes in use]
```

The form: bits 0-1 how many differences were taken, bit 2 that each block has a base (written as the difference from the
one before), to which its numbers are added; without bases the numbers are zigzag coded.

References
----------
D. Lemire, L. Boytsov, "Decoding billions of integers per second through vectorization", Software: Practice and
Experience 45(1), 2015, for patched blocks and interleaved lanes; the layout here is its own.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from workbench.codecs import varint
from workbench.codecs.codec import Array

__all__ = ["BLOCK", "LANES", "Stream", "pack", "unpack", "unzigzag"]

BLOCK = 256
LANES = 4
LONGEST = 10
"""Most bytes of a varint of 64 bits."""

_BASES = 4
_ROWS = BLOCK // LANES
_ONES = np.uint64(2**64 - 1)


class Stream(NamedTuple):
    """Where the rows of numbers of a stream lie among its words.

    Attributes
    ----------
    word, shift, width : ndarray, one per row of four numbers that has any bits
        Index of the row of four words with its lowest bit, that bit's position, and how many bits each number has.
    row : ndarray
        Which row of numbers it is.
    words : int
        How many rows of words there are.
    bytes : int
        How many bytes they take, the last row cut.
    """

    word: Array
    shift: Array
    width: Array
    row: Array
    words: int
    bytes: int


def _zigzag(numbers: Array) -> Array:
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def unzigzag(numbers: Array) -> Array:
    """Return int64 for the uint64 that stand for them: 0, -1, 1, -2, ... for 0, 1, 2, 3, ..."""
    found: Array = (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)
    return found


def _layout(widths: Array, n: int) -> Stream:
    """Return where the rows of n numbers lie in blocks of these widths."""
    rows = np.full(len(widths), _ROWS)
    if len(rows):
        rows[-1] = -(-(n - (len(rows) - 1) * BLOCK) // LANES)
    held = -(-rows * widths // 64)
    first = np.cumsum(held) - held
    block = np.repeat(np.arange(len(rows)), rows)
    bit = (np.arange(len(block)) - np.repeat(np.cumsum(rows) - rows, rows)) * widths[block]
    some = np.flatnonzero(widths[block])
    block, bit = block[some], bit[some]
    words = int(held.sum())
    cut = _cut(int(rows[-1] * widths[-1])) if len(rows) and widths[-1] else 0
    return Stream(first[block] + (bit >> 6), bit & 63, widths[block], some, words, LANES * (8 * words - cut))


def _cut(bits: int) -> int:
    """Return how many bytes of the last word of a lane with that many bits are not in use."""
    return 8 - -(-(bits & 63) // 8) if bits & 63 else 0


@cache
def _patch_bytes() -> Array:
    """Return what a patch costs where the longest number has so many bits (row), by width (column)."""
    bits, width = np.arange(65)[:, None], np.arange(65)[None]
    return np.where(bits > width, 1.0 + -(-(bits - width) // 8), 0.0)


def _lengths(numbers: Array) -> Array:
    """Return how many bits each uint64 has, or one more where it is as good as a power of two."""
    return np.minimum(np.frexp(numbers.astype(np.float64))[1], 64)


def _widths(numbers: Array, n: int) -> tuple[Array, float]:
    """Return the width of each block of uint64 numbers, shape (blocks, BLOCK), and about how many bytes they take."""
    bits = _lengths(numbers)
    count = np.bincount((bits + 65 * np.arange(len(numbers))[:, None]).ravel(), minlength=65 * len(numbers))
    wider = BLOCK - np.cumsum(count.reshape(-1, 65), axis=1)
    cost = wider * _patch_bytes()[bits.max(axis=1)]
    cost[wider == BLOCK] = np.inf  # the number of patches is one byte
    rows = np.full(len(numbers), float(_ROWS))
    rows[-1] = -(-(n - (len(numbers) - 1) * BLOCK) // LANES)
    cost += rows[:, None] * (LANES / 8) * np.arange(65)
    best = cost.argmin(axis=1)
    return best, float(cost[np.arange(len(cost)), best].sum())


def _blocks(numbers: Array) -> Array:
    """Return numbers as rows of BLOCK, the last filled up with its last number."""
    missing = -len(numbers) % BLOCK
    return np.concatenate([numbers, np.repeat(numbers[-1:], missing)]).reshape(-1, BLOCK)


def pack(array: Array, orders: tuple[int, ...] = (0, 1, 2)) -> bytes:
    """Return the bytes of a stream, the smallest of the ways to write it.

    Parameters
    ----------
    array : ndarray of int64, shape (n,), n >= 1
        Differences wrap around, so any 64 bits will do.
    orders : tuple of int
        How often differences may be taken.
    """
    best, least = None, float("inf")
    for order in orders:
        if order >= len(array):
            break
        rest = np.diff(array, order)
        blocks = _blocks(rest)
        low = np.partition(blocks, 1, axis=1)[:, :2] if order < 2 else blocks[:, :0]
        for base in (None, *low.T):
            numbers = _zigzag(blocks) if base is None else (blocks - base[:, None]).view(np.uint64)
            widths, size = _widths(numbers, len(rest))
            if base is not None:
                size += len(base) * 1.5
            if size < least:
                best, least = (order, base, numbers, widths, len(rest)), size
    assert best is not None
    return _write(array, *best)


def _write(array: Array, order: int, base: Array | None, numbers: Array, widths: Array, n: int) -> bytes:
    starts = [int(np.diff(array[: i + 1], i)[0]) for i in range(order)]
    parts = [bytes((order | (0 if base is None else _BASES),))]
    parts += [_signed(start) for start in starts]
    flat = numbers.reshape(-1)[:n]
    width = np.repeat(widths, BLOCK)[:n].astype(np.uint64)
    high = np.where(width < 64, flat >> np.minimum(width, 63), 0)
    patched = np.flatnonzero(high)
    block = patched // BLOCK
    counts, sizes = np.bincount(block, minlength=len(widths)), np.zeros(len(widths), np.int64)
    np.maximum.at(sizes, block, -(-_lengths(high[patched]) // 8))
    parts += [numbers.astype(np.uint8).tobytes() for numbers in (widths, counts, sizes)]
    if base is not None:
        parts += [_signed(step) for step in np.diff(base, prepend=0).tolist()]
    where = (patched % BLOCK).astype(np.uint8)
    bits = high[patched].astype("<u8").view(np.uint8).reshape(-1, 8)
    ends = np.cumsum(counts)
    for i in np.flatnonzero(counts).tolist():
        some = slice(int(ends[i] - counts[i]), int(ends[i]))
        parts += [where[some].tobytes(), bits[some, : sizes[i]].tobytes()]
    parts.append(_words(flat, widths, n))
    return b"".join(parts)


def _signed(number: int) -> bytes:
    number &= 2**64 - 1  # a difference of two int64 may need a 65th bit: it wraps, here as when it is added again
    return varint.write((number << 1 & 2**64 - 1) ^ (2**64 - 1 if number >> 63 else 0))


def _words(flat: Array, widths: Array, n: int) -> bytes:
    at = _layout(widths, n)
    rows = np.concatenate([flat, np.zeros(-n % LANES, np.uint64)]).reshape(-1, LANES)[at.row]
    if not len(rows):
        return b""
    shift, width = at.shift.astype(np.uint64)[:, None], at.width.astype(np.uint64)[:, None]
    rows = rows & (_ONES >> (np.uint64(64) - width))
    starts = np.flatnonzero(np.diff(at.word, prepend=-1))
    words = np.zeros((at.words, LANES), np.uint64)
    words[at.word[starts]] = np.bitwise_or.reduceat(rows << shift, starts, axis=0)
    over = np.flatnonzero(at.shift + at.width > 64)
    words[at.word[over] + 1] |= rows[over] >> (np.uint64(64) - shift[over])
    last = words[-1:].astype("<u8").view(np.uint8).reshape(LANES, 8)
    kept = 8 - (8 * at.words - at.bytes // LANES)
    return words[:-1].astype("<u8").tobytes() + last[:, :kept].tobytes()


def unpack(data: bytes, at: int, n: int) -> tuple[Array, int]:
    """Return the n numbers of the stream that begins at byte `at`, as int64, and where the next thing begins.

    Raises
    ------
    ValueError
        If the bytes are no such stream.
    """
    form = data[at] if at < len(data) else 0xFF
    order, held = form & 3, n - (form & 3)
    if form > 7 or order > 2 or held < 0:
        raise ValueError("a stream of integers has a broken head")
    starts, at = _signed_of(data, at + 1, order)
    blocks = -(-held // BLOCK)
    widths, at = _take(data, at, blocks)
    counts, at = _take(data, at, blocks)
    sizes, at = _take(data, at, blocks)
    if widths.max(initial=0) > 64 or sizes.max(initial=0) > 8:
        raise ValueError("a stream of integers is wider than its words")
    bases, at = _signed_of(data, at, blocks) if form & _BASES else ([], at)
    where, high, at = _patches(data, at, counts, sizes)
    if where.max(initial=-1) >= held:
        raise ValueError("a stream of integers has a patch outside its numbers")
    layout = _layout(widths, held)
    if len(data) < at + layout.bytes:
        raise ValueError("a stream of integers is cut short")
    numbers = _read_words(data[at : at + layout.bytes], layout, held)
    if len(where):
        width = widths[where // BLOCK]
        np.bitwise_or.at(numbers, where, np.where(width < 64, high << np.minimum(width, 63).astype(np.uint64), 0))
    base = np.repeat(np.cumsum(np.array(bases, np.int64)), BLOCK)[:held]
    values = numbers.view(np.int64) + base if form & _BASES else unzigzag(numbers)
    for start in reversed(starts):
        values = np.cumsum(np.concatenate([np.array([start], np.int64), values]))
    return values, at + layout.bytes


def _take(data: bytes, at: int, n: int) -> tuple[Array, int]:
    if len(data) < at + n:
        raise ValueError("a stream of integers is cut short")
    return np.frombuffer(data, np.uint8, n, at).astype(np.int64), at + n


def _patches(data: bytes, at: int, counts: Array, sizes: Array) -> tuple[Array, Array, int]:
    """Return where the patches of all blocks belong, and their high bits."""
    where, high = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for i in np.flatnonzero(counts).tolist():
        places, at = _take(data, at, int(counts[i]))
        found, at = _take(data, at, int(counts[i] * sizes[i]))
        bits = np.zeros((len(places), 8), np.uint8)
        bits[:, : sizes[i]] = found.reshape(len(places), -1)
        where.append(places + i * BLOCK)
        high.append(bits.view("<u8").ravel())
    return np.concatenate(where), np.concatenate(high), at


def _varints(data: bytes, at: int, n: int) -> tuple[Array, int]:
    if not n:
        return np.empty(0, np.uint64), at
    raw = np.frombuffer(data, np.uint8, min(LONGEST * n, len(data) - at), at)
    ends = np.flatnonzero(raw < 0x80)[:n]
    size = np.diff(ends, prepend=-1)
    if len(ends) < n or size.max() > LONGEST:
        raise ValueError("a number in a stream of integers does not end")
    starts, found = ends - size + 1, np.zeros(n, np.uint64)
    for i in range(int(size.max())):
        longer = np.flatnonzero(size > i)
        found[longer] |= (raw[starts[longer] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
    return found, at + int(ends[-1]) + 1


def _signed_of(data: bytes, at: int, n: int) -> tuple[list[int], int]:
    numbers, at = _varints(data, at, n)
    return unzigzag(numbers).tolist(), at


def _read_words(data: bytes, at: Stream, n: int) -> Array:
    """Return the low bits of n numbers as uint64."""
    out = np.zeros((-(-n // LANES), LANES), np.uint64)
    if at.words:
        words = np.zeros((at.words + 1, LANES), "<u8")
        whole, kept = LANES * 8 * (at.words - 1), 8 - (8 * at.words - at.bytes // LANES)
        words[: at.words - 1] = np.frombuffer(data, "<u8", LANES * (at.words - 1)).reshape(-1, LANES)
        last = words[at.words - 1 : at.words].view(np.uint8).reshape(LANES, 8)
        last[:, :kept] = np.frombuffer(data, np.uint8, LANES * kept, whole).reshape(LANES, kept)
        shift, width = at.shift.astype(np.uint64)[:, None], at.width.astype(np.uint64)[:, None]
        low = words[at.word] >> shift
        low |= words[at.word + 1] << (np.uint64(63) - shift) << np.uint64(1)
        out[at.row] = low & (_ONES >> (np.uint64(64) - width))
    return out.reshape(-1)[:n]
