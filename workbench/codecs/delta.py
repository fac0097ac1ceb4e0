"""Delta of delta for timestamps: a steady scrape has second differences of zero, whatever its interval.

References
----------
T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1.1; the second
differences are divided by their greatest common divisor and kept in the narrowest whole bytes, not in bit groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import zstandard

from workbench.codecs.codec import Array

__all__ = ["Delta"]

_HEAD = np.dtype([("first", "<i8"), ("delta", "<i8"), ("scale", "<u8"), ("width", "u1")])
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
        head = np.zeros(1, _HEAD)
        head["first"], head["delta"] = array[0], deltas[0] if len(deltas) else 0
        if scale == 0:
            return head.tobytes()
        steps = second // scale
        reach = max(int(steps.max()), -int(steps.min()))
        width = next(w for w in _WIDTHS if reach < 1 << (8 * w - 1))
        head["scale"], head["width"] = scale, width
        return head.tobytes() + zstandard.ZstdCompressor(level=3).compress(steps.astype(f"<i{width}").tobytes())

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if len(data) < _HEAD.itemsize:
            raise ValueError("a delta chunk is cut short")
        head = np.frombuffer(data, _HEAD, 1)[0]
        width = int(head["width"])
        second = np.zeros(max(len(out) - 2, 0), np.int64)
        if width:
            if width not in _WIDTHS:
                raise ValueError(f"a delta chunk claims items of {width} bytes")
            second += _unpack(data[_HEAD.itemsize :], width, len(second)) * np.int64(head["scale"])
        elif len(data) != _HEAD.itemsize:
            raise ValueError("a steady delta chunk is followed by bytes")
        out[:1] = head["first"]
        out[1:2] = head["delta"]
        out[2:] = second
        np.cumsum(out[1:], out=out[1:])
        np.cumsum(out, out=out)


def _unpack(data: bytes, width: int, n: int) -> Array:
    try:
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=width * n)
    except zstandard.ZstdError as error:
        raise ValueError(f"not a zstd frame of {width * n} bytes: {error}") from error
    if len(plain) != width * n:
        raise ValueError(f"{len(plain)} bytes unpacked where {width * n} were expected")
    return np.frombuffer(plain, f"<i{width}").astype(np.int64)
