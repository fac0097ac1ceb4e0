"""Exact decimals: most measured values have few decimal digits, so they are integers over a power of ten.

An integer stands for a value only if the bits of the value come back from it, by division (`7 / 1000`, as parsing the
text 0.007 gives) or by multiplication (`7 * 0.001`, as programs that convert units give). The few other values of a
chunk (a stale marker at the end, an infinity, -0.0) are its exceptions.

References
----------
A. Afroozeh, L. Kuffó, P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024, for the idea that
decimals should be stored as integers; the scheme here is simpler.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from workbench.codecs.codec import Array

__all__ = ["EXACT", "INVERSES", "MANY", "POWERS", "Scaled", "find", "read_exceptions", "write_exceptions"]

POWERS = 10.0 ** np.arange(23)
"""The powers of ten that float64 holds exactly."""

INVERSES = np.array([float(f"1e-{e}") for e in range(len(POWERS))])

EXACT = 2.0**53
"""Up to here float64 holds every integer."""

MANY = 64
"""More than one exception in so many values is a reason to try another form."""

_PROBE = 12
_DIGIT = 3.33
_EXCEPTION = np.dtype([("at", "<u4"), ("bits", "<u8")])
_COUNT = struct.Struct("<I")


@dataclass(frozen=True)
class Scaled:
    """Integers that give the values back: `integers / 10**exponent`, or `* 10**-exponent` where `times`.

    `bad` are the positions of the exceptions; their integers repeat the one before.
    """

    exponent: int
    times: bool
    integers: Array
    bad: Array


def find(array: Array, powers: int = len(POWERS), inverse: bool = False) -> Scaled | None:
    """Return the integers a chunk of decimals stands for, or None when more than one value in eight is no decimal.

    Parameters
    ----------
    array : ndarray of float64, shape (n,), n >= 1
    powers : int
        How many powers of ten to consider, from 10**0 on.
    inverse : bool
        Whether multiplication by 10**-exponent is tried, too, where division leaves many exceptions.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        found = _find(array, powers, False)
        if inverse and (found is None or len(found.bad) * MANY > len(array)):
            other = _find(array, powers, True)
            if other is not None and (found is None or len(other.bad) < len(found.bad)):
                return other
    return found


def _find(array: Array, powers: int, times: bool) -> Scaled | None:
    n = len(array)
    exponent = _exponent(array[:: -(-n // _PROBE)], powers, times)
    while exponent < powers:
        scaled, bad = _split(array, exponent, times)
        if len(bad):
            finer = max(exponent + 1, _exponent(array[bad[:: -(-len(bad) // _PROBE)]], powers, times))
            if finer < powers:
                other, worse = _split(array, finer, times)
                saved = 8 * _EXCEPTION.itemsize * (len(bad) - len(worse)) - _DIGIT * (finer - exponent) * n
                if saved > 0:
                    exponent, scaled, bad = finer, other, worse
        if len(bad) * 8 <= n:
            return Scaled(exponent, times, _filled(scaled, bad), bad)
        exponent = max(exponent + 1, finer)
    return None


def _exponent(probe: Array, powers: int, times: bool) -> int:
    """Return the smallest exponent that holds most of a few values, or the number of powers when none does."""
    column = probe[:, None]
    back = column * POWERS[:powers]
    np.rint(back, out=back)
    fits = np.abs(back) <= EXACT
    if times:
        back *= INVERSES[:powers]
    else:
        back /= POWERS[:powers]
    fits &= back == column
    right = np.add.reduce(fits, axis=0, dtype=np.intp) * 4 >= 3 * len(column)
    best = int(right.argmax())
    return best if right[best] else powers


def _split(array: Array, exponent: int, times: bool) -> tuple[Array, Array]:
    """Return the scaled values, as float64, and the positions of those that do not give the value's bits back."""
    scaled = array * POWERS[exponent]
    np.rint(scaled, out=scaled)
    scaled += 0.0  # -0.0 would come back as an integer without its sign
    back = scaled * INVERSES[exponent] if times else scaled / POWERS[exponent]
    exact = back.view(np.int64) == array.view(np.int64)
    if not (scaled.max() <= EXACT and scaled.min() >= -EXACT):
        exact &= np.abs(scaled) <= EXACT
    return scaled, np.empty(0, np.int64) if exact.all() else np.flatnonzero(~exact)


def _filled(scaled: Array, bad: Array) -> Array:
    if not len(bad):
        return scaled.astype(np.int64)
    last = np.arange(len(scaled))
    last[bad] = -1
    first = int(np.argmax(last >= 0))
    np.maximum.accumulate(last, out=last)
    last[last < 0] = first
    return scaled[last].astype(np.int64)


def write_exceptions(array: Array, bad: Array) -> bytes:
    """Return `[k 4][k exceptions of position 4, bits 8]`."""
    records = np.empty(len(bad), _EXCEPTION)
    records["at"], records["bits"] = bad, array.view(np.uint64)[bad]
    return _COUNT.pack(len(bad)) + records.tobytes()


def read_exceptions(data: bytes, at: int, n: int) -> tuple[Array, Array, int]:
    """Return positions and bits of the exceptions that stand at byte `at`, and where the next thing begins.

    Raises
    ------
    ValueError
        If they are cut short or lie outside the n values.
    """
    if len(data) < at + _COUNT.size:
        raise ValueError("the exceptions of a decimal chunk are cut short")
    count = _COUNT.unpack_from(data, at)[0]
    end = at + _COUNT.size + count * _EXCEPTION.itemsize
    if count > n or end > len(data):
        raise ValueError("a decimal chunk claims more exceptions than it has")
    records = np.frombuffer(data, _EXCEPTION, count, at + _COUNT.size)
    if count and records["at"].max() >= n:
        raise ValueError("a decimal chunk has an exception outside its values")
    return records["at"], records["bits"], end
