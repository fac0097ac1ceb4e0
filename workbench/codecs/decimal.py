"""Exact decimals as 64-bit integers in a pco file. Read for ever; `narrow` writes the same values smaller.

References
----------
A. Afroozeh, L. Kuffó, P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import scale
from workbench.codecs.codec import Array
from workbench.codecs.pco import pack, unpack

__all__ = ["Decimal"]

_POWERS = 16


@dataclass(frozen=True)
class Decimal:
    """`[exponent 1][k 4][k exceptions of position 4, bits 8][pco file of int64]`."""

    id: ClassVar[int] = 2
    name: ClassVar[str] = "decimal"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when more than one value in eight is no short decimal."""
        found = scale.find(array, _POWERS)
        if found is None:
            return None
        return bytes((found.exponent,)) + scale.write_exceptions(array, found.bad) + pack(found.integers)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if not data or data[0] >= _POWERS:
            raise ValueError("a decimal chunk has a broken head")
        at, bits, end = scale.read_exceptions(data, 1, len(out))
        integers = out.view(np.int64)
        unpack(data[end:], integers)
        np.divide(integers, scale.POWERS[data[0]], out=out)
        if len(at):
            out.view(np.uint64)[at] = bits
