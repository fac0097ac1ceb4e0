"""Values as integers in lanes: what is read often after it was compacted, unpacked five times as fast as a pco page.

The integers are decimals over a power of ten, such decimals beside the last bits in which a value differs from them
(what divisions and running sums leave), the bits of the floats themselves, or places in a table of the distinct values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from workbench.codecs import lanes, scale, varint
from workbench.codecs.codec import Array

__all__ = ["ADJUSTED", "BITS", "DIVIDED", "EXCEPTIONS", "TABLE", "TIMES", "Packed", "decode_many"]

DIVIDED, TIMES, BITS, TABLE = range(4)
"""What the integers are: `k / 10**e`, `k * 10**-e`, bits of floats, places in a table."""

EXCEPTIONS, ADJUSTED = 4, 8
_LOADING, _LOADED = 4_000_000, 400_000
"""Values that numpy unpacks in the time it takes to load numba, and the kernels when it is there."""

_Ints = npt.NDArray[np.int64]
_POWERS = 16
_NEAR = 2**20
_PROBE = 48


@dataclass(frozen=True)
class Packed:
    """`[head 1][exponent 1][k 4, k exceptions of position 4, bits 8: if any]`, then one of two bodies.

    Integers: `[stream of lanes.py]`, and `[stream]` of what to add to the bits, if adjusted.
    Table: `[d varint][such a chunk of the d distinct values, without a table][stream of places among them]`.

    The head: bits 0-1 what the integers are (see above), bit 2 that there are exceptions, bit 3 that it is adjusted.
    """

    id: ClassVar[int] = 14
    name: ClassVar[str] = "packed"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the smallest form; never None."""
        forms = list(_forms(array))
        bits = array.view(np.int64)
        distinct, places = np.unique(bits, return_inverse=True)
        if 1 < len(distinct) <= len(array) // 2:
            table = min(_forms(distinct.view(np.float64)), key=len)
            head = bytes((TABLE, 0)) + varint.write(len(distinct)) + table
            forms.append(head + lanes.pack(places.astype(np.int64), (0, 1)))
        return min(forms, key=len)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        end = _decode(data, 0, out, True)
        if end != len(data):
            raise ValueError("a packed chunk is longer than its values")


def _forms(array: Array) -> Iterator[bytes]:
    """Yield the ways to write values without a table."""
    yield bytes((BITS, 0)) + lanes.pack(array.view(np.int64), (0, 1))
    found = scale.find(array, inverse=True)
    if found is not None:
        head = (TIMES if found.times else DIVIDED) | (EXCEPTIONS if len(found.bad) else 0)
        bad = scale.write_exceptions(array, found.bad) if len(found.bad) else b""
        yield bytes((head, found.exponent)) + bad + lanes.pack(found.integers)
        if not len(found.bad):
            return
    near = _nearest(array)
    if near is not None:
        times, exponent, integers, off = near
        head = (TIMES if times else DIVIDED) | ADJUSTED
        yield bytes((head, exponent)) + lanes.pack(integers) + lanes.pack(off, (0,))


def _back(times: int, exponent: int) -> Callable[[Array], Array]:
    power, inverse = scale.POWERS[exponent], scale.INVERSES[exponent]
    return (lambda k: k * inverse) if times else (lambda k: k / power)


def _nearest(array: Array) -> tuple[int, int, Array, Array] | None:
    """Return the decimals that values nearly are, and how many floats each lies away, or None when they are not."""
    if not np.isfinite(array).all():
        return None
    probe = array[:: max(1, len(array) // _PROBE)]
    best, least = None, 0.9 * 64
    for exponent in range(_POWERS):
        with np.errstate(over="ignore"):
            scaled = np.rint(probe * scale.POWERS[exponent])
        if not (np.abs(scaled) <= scale.EXACT).all():
            break
        for times in (0, 1):
            off = (probe.view(np.int64) - _back(times, exponent)(scaled).view(np.int64)).astype(np.float64)
            if np.median(np.abs(off)) > _NEAR:
                continue
            steps = np.diff(scaled, prepend=scaled[:1])
            weight = float(np.log2(np.abs(steps) + 1).mean() + np.log2(np.abs(off) + 1).mean())
            if weight < least:
                best, least = (times, exponent), weight
    if best is None:
        return None
    with np.errstate(over="ignore"):
        scaled = np.rint(array * scale.POWERS[best[1]]) + 0.0
    if not (np.abs(scaled) <= scale.EXACT).all():
        return None
    return *best, scaled.astype(np.int64), array.view(np.int64) - _back(*best)(scaled).view(np.int64)


def _decode(data: bytes, at: int, out: Array, outermost: bool) -> int:
    """Fill `out` from the chunk that begins at byte `at`; return where it ends."""
    if len(data) < at + 2:
        raise ValueError("a packed chunk is cut short")
    head, exponent = data[at], data[at + 1]
    kind, at = head & 3, at + 2
    decimal = kind in (DIVIDED, TIMES)
    allowed = head < 16 and (decimal or head == kind) and (outermost or kind != TABLE)
    if not allowed or exponent >= (len(scale.POWERS) if decimal else 1):
        raise ValueError("a packed chunk has a broken head")
    where, bits, at = scale.read_exceptions(data, at, len(out)) if head & EXCEPTIONS else ((), (), at)
    if kind == TABLE:
        count, at = varint.read(data, at)
        if not 1 <= count <= len(out):
            raise ValueError("a packed chunk has a table of more values than it holds")
        table = np.empty(count, out.dtype)
        at = _decode(data, at, table, False)
        places, at = lanes.unpack(data, at, len(out))
        if places.min() < 0 or places.max() >= count:
            raise ValueError("a packed chunk names a value that is not in its table")
        np.take(table, places, out=out)
        return at
    integers, at = lanes.unpack(data, at, len(out))
    if kind == BITS:
        out.view(np.int64)[:] = integers
    else:
        out[:] = _back(int(kind == TIMES), exponent)(integers)
    if head & ADJUSTED:
        off, at = lanes.unpack(data, at, len(out))
        out.view(np.int64)[:] += off
    if len(where):
        out.view(np.uint64)[where] = bits
    return at


def decode_many(
    data: npt.NDArray[np.uint8], at: _Ints, length: _Ints, count: _Ints, begin: _Ints, end: _Ints, target: _Ints,
    out: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Unpack packed chunks into `out`: of chunk i the values `begin[i]` to `end[i]`, from `out[target[i]]` on.

    A process that unpacks little does so without numba, which takes as long to load as numpy takes for millions of
    values; one that unpacks more loads it.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes of all chunks.
    at, length, count : ndarray of int64, shape (k,)
        Where each chunk lies, and how many values it holds.
    begin, end, target : ndarray of int64, shape (k,)
    out : ndarray of float64, one-dimensional

    Returns
    -------
    ndarray of bool, shape (k,)
        Which chunks are whole; what is written for the others means nothing.
    """
    if _loaded(int(count.sum())):
        from workbench.codecs.packed_kernels import unpack_many

        whole: npt.NDArray[np.bool_] = unpack_many(data, at, length, count, begin, end, target, out, _powers())
        return whole
    sound = np.ones(len(at), bool)
    given = (a.tolist() for a in (at, length, count, begin, end, target))
    for i, (where, size, n, first, last, to) in enumerate(zip(*given, strict=True)):
        values = np.empty(n)
        try:
            Packed().decode(data[where : where + size].tobytes(), values)
        except ValueError:
            sound[i] = False
            continue
        out[to : to + last - first] = values[first:last]
    return sound


@cache
def _powers() -> npt.NDArray[np.float64]:
    return np.stack([scale.POWERS, scale.INVERSES])


class _Unpacked:
    """How many values this process has unpacked without numba."""

    values = 0


def _loaded(values: int) -> bool:
    """Return whether as many values were unpacked without numba as loading it is worth."""
    _Unpacked.values += values
    return _Unpacked.values > (_LOADED if "numba" in sys.modules else _LOADING)
