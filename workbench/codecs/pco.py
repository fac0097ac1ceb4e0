"""pcodec over floats and over integers.

References
----------
M. Loncaric, "Pcodec: better compression for numerical sequences", arXiv:2502.06112.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pcodec import ChunkConfig, standalone

from workbench.codecs.codec import Array

__all__ = ["Pco", "PcoInt", "pack", "unpack"]

_LEVEL = 8


def pack(array: Array) -> bytes:
    """Return one pco standalone file of an array."""
    return bytes(standalone.simple_compress(array, ChunkConfig(compression_level=_LEVEL)))


def unpack(data: bytes, out: Array) -> None:
    """Fill `out` from a pco standalone file, or raise `ValueError` when it does not hold exactly that many items."""
    try:
        progress: Any = standalone.simple_decompress_into(data, out)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"not a pco file of {out.dtype}: {error}") from error
    if progress.n_processed != len(out) or not progress.finished:
        raise ValueError(f"a pco file does not hold the {len(out)} values expected")


@dataclass(frozen=True)
class Pco:
    """A pco standalone file of float64."""

    id: ClassVar[int] = 3
    name: ClassVar[str] = "pco"
    dtypes: ClassVar[tuple[str, ...]] = ("float64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the compressed bytes; never None."""
        return pack(array)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        unpack(data, out)


@dataclass(frozen=True)
class PcoInt:
    """A pco standalone file of int64."""

    id: ClassVar[int] = 6
    name: ClassVar[str] = "pco-int"
    dtypes: ClassVar[tuple[str, ...]] = ("int64",)

    def encode(self, array: Array) -> bytes | None:
        """Return the compressed bytes; never None."""
        return pack(array)

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out`."""
        unpack(data, out)
