"""One 8-byte pattern, repeated: two thirds of the series of a real scrape never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs.codec import Array

__all__ = ["Constant"]


@dataclass(frozen=True)
class Constant:
    """The bits of the only value, little endian: `[value 8]`."""

    id: ClassVar[int] = 1
    name: ClassVar[str] = "constant"
    dtypes: ClassVar[tuple[str, ...]] = ("float64", "int64")

    def encode(self, array: Array) -> bytes | None:
        """Return 8 bytes, or None when the array holds two different bit patterns."""
        bits = array.view(np.uint64)
        first = bits[0]
        if first != bits[-1] or not (bits == first).all():
            return None
        return int(first).to_bytes(8, "little")

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out` with the value."""
        if len(data) != 8:
            raise ValueError(f"a constant takes 8 bytes, not {len(data)}")
        out.view(np.uint64).fill(int.from_bytes(data, "little"))
