"""zstd over the bytes as they are: always applicable, the last resort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import zstandard

from workbench.codecs.codec import Array

__all__ = ["Raw", "plain"]


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
        out.view(np.uint64)[:] = np.frombuffer(plain(data, out.nbytes), "<u8")


def plain(data: bytes, size: int) -> bytes:
    """Return the `size` bytes of a zstd frame.

    Raises
    ------
    ValueError
        If it is no frame, or holds another number of bytes: what it claims is looked at before memory is taken for it.
    """
    try:
        claimed = zstandard.frame_content_size(data)
        found = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if claimed in (-1, size) else b""
    except zstandard.ZstdError as error:
        raise ValueError(f"not a zstd frame of {size} bytes: {error}") from error
    if len(found) != size:
        raise ValueError(f"a zstd frame holds {max(claimed, len(found))} bytes where {size} were expected")
    return found
