"""Few distinct values in any order: each once, in the order of its size, and which of them stands where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs import integers, table, varint
from workbench.codecs.codec import Array, distinct

__all__ = ["Dictionary"]

_LARGEST = 2**15
_TRIED = ("none", "first", "second")


@dataclass(frozen=True)
class Dictionary:
    """`[inner id 1][d varint][m varint][m bytes: the distinct values, by inner id][integers: places among them]`."""

    id: ClassVar[int] = 11
    name: ClassVar[str] = "dictionary"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes, or None when fewer than half of the values are repetitions."""
        if distinct(array) > min(len(array) // 2, _LARGEST):
            return None
        bits, places = np.unique(array.view(np.int64), return_inverse=True)
        inner = table.plain(bits.view(np.float64))
        if inner is None:
            return None
        head = bytes((inner[0],)) + varint.write(len(bits)) + varint.write(len(inner[1]))
        return head + inner[1] + integers.pack_narrow(places, _TRIED)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        count, at = varint.read(data, 1)
        size, at = varint.read(data, at)
        if not 1 <= count <= min(len(out), _LARGEST) or at + size > len(data) or data[0] not in table.PLAIN:
            raise ValueError("a chunk with a dictionary has a broken head")
        values = np.empty(count, out.dtype)
        table.by_id(data[0]).decode(data[at : at + size], values)
        places = integers.unpack_narrow(data, at + size, len(out))
        if places.min() < 0 or places.max() >= count:
            raise ValueError("a chunk with a dictionary names a value that is not in it")
        np.take(values, places, out=out, mode="clip")
