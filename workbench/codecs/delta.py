"""Delta of delta for timestamps: a steady scrape has second differences of zero, whatever its interval.

References
----------
T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1.1; the second
differences are divided by their greatest common divisor and kept in the narrowest whole bytes, not in bit groups.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import zstandard

from workbench.codecs.codec import Array
from workbench.codecs.raw import plain

__all__ = ["Delta"]

_HEAD = struct.Struct("<qqQB")
_WIDTHS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Delta:
    """`[first 8][first difference 8][scale 8][width 1]`, then a zstd frame of second differences / scale, if any."""

    id: ClassVar[int] = 5
    name: ClassVar[str] = "delta"
    dtypes: ClassVar[tuple[str, ...]] = ("int64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when the differences could overflow 64 bits."""
        if int(array.max()) - int(array.min()) >= 2**61:
            return None
        deltas = np.diff(array)
        second = np.diff(deltas)
        scale = int(np.gcd.reduce(second)) if len(second) else 0
        first, delta = int(array[0]), int(deltas[0]) if len(deltas) else 0
        if scale == 0:
            return _HEAD.pack(first, delta, 0, 0)
        steps = second // scale
        reach = max(int(steps.max()), -int(steps.min()))
        width = next(w for w in _WIDTHS if reach < 1 << (8 * w - 1))
        packed = zstandard.ZstdCompressor(level=3).compress(steps.astype(f"<i{width}").tobytes())
        return _HEAD.pack(first, delta, scale, width) + packed

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if len(data) < _HEAD.size:
            raise ValueError("a delta chunk is cut short")
        first, delta, scale, width = _HEAD.unpack_from(data)
        n = max(len(out) - 2, 0)
        if width in _WIDTHS and scale < 2**63:
            steps = np.frombuffer(plain(data[_HEAD.size :], width * n), f"<i{width}")
            np.multiply(steps, np.int64(scale), out=out[2:])
        elif width or len(data) != _HEAD.size:
            raise ValueError("a delta chunk has a broken head")
        else:
            out[2:] = 0
        out[0] = first
        out[1:2] = delta
        np.cumsum(out[1:], out=out[1:])
        np.cumsum(out, out=out)
