"""Gorilla: each value XOR the one before, without the zeros around the bits that differ.

References
----------
T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1.2; the layout of
the bits is that of the values in a Prometheus XOR chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.codecs.codec import Array

__all__ = ["Gorilla", "bits_of", "bytes_of"]


def bytes_of(words: Array, bits: int) -> bytes:
    """Return the first bits of an array of words as bytes, the last filled up with zeros."""
    return words[: (bits + 63) // 64].byteswap().tobytes()[: (bits + 7) // 8]


def bits_of(data: bytes, at: int) -> tuple[Array, int]:
    """Return the bytes from `at` on as words, one more than they fill, and how many bits they are."""
    size = len(data) - at
    return np.frombuffer(data[at:] + bytes(16 - size % 8), ">u8").astype(np.uint64), 8 * size


@dataclass(frozen=True)
class Gorilla:
    """`[first value 8, big endian][a stream of bits, filled up to whole bytes with zeros]`."""

    id: ClassVar[int] = 7
    name: ClassVar[str] = "gorilla"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes; never None."""
        from workbench.codecs.xor_kernels import write

        bits = array.view(np.uint64)
        words = np.zeros(2 * len(bits) + 2, np.uint64)
        size, _ = write(np.empty(0, np.int64), bits, words)
        return int(bits[0]).to_bytes(8, "big") + bytes_of(words, size)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        from workbench.codecs.xor_kernels import CUT, read

        if len(data) < 8:
            raise ValueError("a Gorilla chunk is cut short")
        bits = out.view(np.uint64)
        bits[0] = int.from_bytes(data[:8], "big")
        words, end = bits_of(data, 8)
        used = read(words, end, 0, np.empty(0, np.int64), bits)
        if used == CUT or end - used > 7 or (used < end and data[-1] & ((1 << (end - used)) - 1)):
            raise ValueError(f"a Gorilla chunk does not hold the {len(out)} values expected")
