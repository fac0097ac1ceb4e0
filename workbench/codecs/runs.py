"""Values that stay for a while: each once, and for how many samples.

Gauges of configuration, histogram buckets that rarely fill, summaries without observations: a few changes an hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import integers, table, varint
from workbench.codecs.codec import Array

__all__ = ["Runs"]


@dataclass(frozen=True)
class Runs:
    """`[inner id 1][r varint][m varint][m bytes: integers, lengths - 1 of all runs but the last][values, by inner id]`.

    Attributes
    ----------
    effort : {"best", "fast"}
        How much is tried on writing.
    """

    effort: str = "best"

    id: ClassVar[int] = 10
    name: ClassVar[str] = "runs"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when more than every second value changes."""
        bits = array.view(np.int64)
        return self.of_changes(array, np.flatnonzero(bits[1:] != bits[:-1]))

    def of_changes(self, array: Array, changes: Array) -> bytes | None:
        """Return the bytes of an array whose bits change behind the positions given, or None as `encode` does."""
        if len(changes) * 2 > len(array):
            return None
        first = np.empty(len(changes) + 1, np.int64)
        first[0] = 0
        np.add(changes, 1, out=first[1:])
        inner = table.plain(array[first], self.effort)
        if inner is None:
            return None
        lengths, level = first[1:] - first[:-1] - 1, 4 if self.effort == "fast" else 8
        packed = integers.pack_narrow(lengths, ("none",), level) if len(lengths) else b""
        return b"".join((bytes((inner[0],)), varint.write(len(first)), varint.write(len(packed)), packed, inner[1]))

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        count, at = varint.read(data, 1)
        size, at = varint.read(data, at)
        if not 1 <= count <= len(out) or at + size > len(data) or data[0] not in table.PLAIN:
            raise ValueError("a chunk of runs has a broken head")
        more = integers.unpack_narrow(data[: at + size], at, count - 1) if count > 1 else np.empty(0, np.int8)
        left = len(out) - count - int(more.sum())
        if left < 0 or more.min(initial=0) < 0 or more.max(initial=0) >= len(out):
            raise ValueError("a chunk of runs is longer than its values")
        lengths = np.empty(count, np.int64)
        np.add(more, 1, out=lengths[:-1], dtype=np.int64)
        lengths[-1] = left + 1
        values = np.empty(count, out.dtype)
        table.by_id(data[0]).decode(data[at + size :], values)
        out[:] = np.repeat(values, lengths)
