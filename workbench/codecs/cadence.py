"""Timestamps of a steady clock: how far each lies from where the cadence puts it, in the coarsest unit that is exact.

A scraper that plans its scrapes by the clock is late by a little each time, and not by the sum of what it was late
before; so the distance from the plan is small and needs no memory, while a difference of neighbours has it twice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import integers
from workbench.codecs.codec import Array

__all__ = ["Cadence"]

_HEAD = struct.Struct("<qqQ")
_REACH = 2**61


@dataclass(frozen=True)
class Cadence:
    """`[first 8][step 8][scale 8]`, then (time - first - i * step) / scale as `integers.pack` writes it."""

    id: ClassVar[int] = 13
    name: ClassVar[str] = "cadence"
    dtypes: ClassVar[tuple[str, ...]] = ("int64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when the numbers reach so far that 64 bits might not hold the distances."""
        n = len(array)
        low, high = int(array.min()), int(array.max())
        if n < 3 or low <= -_REACH or high >= _REACH:
            return None
        step = int(np.median(np.diff(array)))
        first = int(array[0])
        if abs(step) * n >= _REACH:
            return None
        away = array - first - np.arange(n, dtype=np.int64) * step
        scale = int(np.gcd.reduce(away)) or 1
        return _HEAD.pack(first, step, scale) + integers.pack(away // scale, ("none", "first"))

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        if len(data) <= _HEAD.size:
            raise ValueError("a cadence chunk is cut short")
        first, step, scale = _HEAD.unpack_from(data)
        if scale >= 2**63:
            raise ValueError("a cadence chunk has a broken head")
        integers.unpack(data, _HEAD.size, out)
        out *= np.int64(scale)
        out += np.int64(first)
        out += np.arange(len(out), dtype=np.int64) * np.int64(step)
