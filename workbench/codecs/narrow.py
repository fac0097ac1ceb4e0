"""Exact decimals and integers in the narrowest type that holds them: what most chunks become.

Decimals are integers over a power of ten (`scale.py`); integers go into one pco page of 8, 16, 32 or 64 bits, as they
are, less a base, or as differences (`integers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import integers, page, scale
from workbench.codecs.codec import Array

__all__ = ["Narrow"]

_EXPONENT, _EXCEPTIONS, _TIMES = 0x1F, 0x20, 0x40
_NONE = np.empty(0, np.uint32)
_TRIED = ("none", "first", "second", "steps")


@dataclass(frozen=True)
class Narrow:
    """`[head 1][k 4, k exceptions of position 4, bits 8: if any][integers]`.

    The head: bits 0-4 the exponent (0 for int64), bit 5 that there are exceptions, bit 6 that the integers are
    multiplied by `10**-exponent`, not divided by `10**exponent`.

    Attributes
    ----------
    effort : {"best", "fast"}
        How much is tried on writing.
    """

    effort: str = "best"

    id: ClassVar[int] = 9
    name: ClassVar[str] = "narrow"
    dtypes: ClassVar[tuple[str, ...]] = ("float64", "int64")

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when more than one float in eight ("fast": in 64) is no short decimal."""
        if len(array) > page.LONGEST:
            return None
        if array.dtype.kind == "i":
            return b"\x00" + self._pack(array)
        found = scale.find(array, inverse=True)
        if found is None or (self.effort == "fast" and len(found.bad) * scale.MANY > len(array)):
            return None
        head = found.exponent | (_TIMES if found.times else 0)
        if not len(found.bad):
            return bytes((head,)) + self._pack(found.integers)
        return bytes((head | _EXCEPTIONS,)) + scale.write_exceptions(array, found.bad) + self._pack(found.integers)

    @staticmethod
    def exceptions(data: bytes) -> int:
        """Return how many values are exceptions in what `encode` returned."""
        return int.from_bytes(data[1:5], "little") if data[0] & _EXCEPTIONS else 0

    def _pack(self, numbers: Array) -> bytes:
        return integers.pack(numbers, ("first",), 4) if self.effort == "fast" else integers.pack(numbers, _TRIED)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        head = data[0] if data else 0x80
        exponent = head & _EXPONENT
        if head & 0x80 or exponent >= len(scale.POWERS) or (head and out.dtype.kind == "i"):
            raise ValueError("a chunk of narrow integers has a broken head")
        at, bits, begin = scale.read_exceptions(data, 1, len(out)) if head & _EXCEPTIONS else (_NONE, _NONE, 1)
        if head & _TIMES:
            integers.unpack(data, begin, out)
            np.multiply(out, scale.INVERSES[exponent], out=out)
        else:
            integers.unpack(data, begin, out, scale.POWERS[exponent] if exponent else None)
        if len(at):
            out.view(np.uint64)[at] = bits
