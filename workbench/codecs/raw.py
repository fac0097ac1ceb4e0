"""zstd over the bytes as they are: always applicable, the last resort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import zstandard

from workbench.codecs.codec import Array

__all__ = ["Raw"]


@dataclass(frozen=True)
class Raw:
    """A zstd frame of the little-endian items."""

    id: ClassVar[int] = 4
    name: ClassVar[str] = "raw"
    dtypes: ClassVar[tuple[str, ...]] = ("float64", "int64")

    def encode(self, array: Array) -> bytes:
        """Return the compressed bytes; never None."""
        return zstandard.ZstdCompressor(level=3).compress(array.view(np.uint64).astype("<u8", copy=False).tobytes())

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out` from the frame."""
        try:
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=out.nbytes)
        except zstandard.ZstdError as error:
            raise ValueError(f"not a zstd frame of {out.nbytes} bytes: {error}") from error
        if len(plain) != out.nbytes:
            raise ValueError(f"{len(plain)} bytes unpacked where {out.nbytes} were expected")
        out.view(np.uint64)[:] = np.frombuffer(plain, "<u8")
