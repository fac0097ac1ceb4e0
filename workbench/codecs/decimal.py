"""Exact decimals: most measured values have few decimal digits, so they are integers divided by a power of ten.

Only values whose bits come back from `integer / 10**e` are held so; the few others in a chunk (a stale marker at the
end, an infinity, -0.0) are kept beside as exceptions.

References
----------
A. Afroozeh, L. Kuffó, P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024, for the idea that
decimals should be stored as integers; the scheme here is simpler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs.codec import Array
from workbench.codecs.pco import pack, unpack

__all__ = ["Decimal"]

_POWERS = 10.0 ** np.arange(16)
_LIMIT = 2.0**53
_PROBE = 24
_HEAD = np.dtype([("exponent", "u1"), ("exceptions", "<u4")])
_EXCEPTION = np.dtype([("at", "<u4"), ("bits", "<u8")])


@dataclass(frozen=True)
class Decimal:
    """`[exponent 1][k 4][k exceptions of position 4, bits 8][pco file of int64]`."""

    id: ClassVar[int] = 2
    name: ClassVar[str] = "decimal"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when more than one value in eight is no short decimal."""
        n = len(array)
        exponent = _exponent(array[np.linspace(0, n - 1, min(n, _PROBE)).astype(np.int64)])
        while exponent < len(_POWERS):
            integers, exact = _split(array, _POWERS[exponent])
            bad = np.flatnonzero(~exact)
            if len(bad) * 8 <= n:
                break
            exponent += 1
        else:
            return None
        if len(bad):
            good = np.maximum.accumulate(np.where(exact, np.arange(n), -1))
            integers = integers[np.where(good < 0, np.argmax(exact), good)]
        head = np.array([(exponent, len(bad))], _HEAD)
        exceptions = np.empty(len(bad), _EXCEPTION)
        exceptions["at"], exceptions["bits"] = bad, array.view(np.uint64)[bad]
        return head.tobytes() + exceptions.tobytes() + pack(integers)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if len(data) < _HEAD.itemsize:
            raise ValueError("a decimal chunk is cut short")
        head = np.frombuffer(data, _HEAD, 1)[0]
        end = _HEAD.itemsize + int(head["exceptions"]) * _EXCEPTION.itemsize
        if head["exponent"] >= len(_POWERS) or head["exceptions"] > len(out) or end > len(data):
            raise ValueError("a decimal chunk has a broken head")
        integers = np.empty(len(out), np.int64)
        unpack(data[end:], integers)
        np.divide(integers, _POWERS[head["exponent"]], out=out)
        if head["exceptions"]:
            exceptions = np.frombuffer(data[_HEAD.itemsize : end], _EXCEPTION)
            if (exceptions["at"] >= len(out)).any():
                raise ValueError("a decimal chunk has an exception outside its values")
            out.view(np.uint64)[exceptions["at"]] = exceptions["bits"]


def _exponent(probe: Array) -> int:
    """Return the smallest exponent that holds most of a few values, or the number of exponents when none does."""
    finite = probe[np.isfinite(probe)]
    if not len(finite):
        return len(_POWERS)
    with np.errstate(over="ignore"):
        scaled = np.rint(finite[:, None] * _POWERS)
        exact = (scaled / _POWERS == finite[:, None]) & (np.abs(scaled) <= _LIMIT)
    enough = np.flatnonzero((~exact).sum(axis=0) * 4 <= len(finite))
    return int(enough[0]) if len(enough) else len(_POWERS)


def _split(array: Array, power: float) -> tuple[Array, Array]:
    """Return the integers (0 where there is none) and where `integer / power` has the very bits of the value."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(array * power)
        fits = np.abs(scaled) <= _LIMIT
        integers = np.where(fits, scaled, 0.0).astype(np.int64)
    return integers, fits & ((integers / power).view(np.uint64) == array.view(np.uint64))
