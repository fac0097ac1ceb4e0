"""What a codec is, and how two arrays are compared: by their bits, never by their values."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Codec", "distinct", "same_bits"]

Array: TypeAlias = npt.NDArray[Any]
"""A one-dimensional contiguous array of float64 or int64."""


@runtime_checkable
class Codec(Protocol):
    """One way to write an array of float64 or int64 as bytes.

    Attributes
    ----------
    id : int
        What is stored beside the bytes, 1-255; it never changes its meaning.
    name : str
        The name in the registry group `workbench.codecs`.
    dtypes : tuple of str
        Which of `"float64"`, `"int64"` it takes.
    """

    id: ClassVar[int]
    name: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]]

    def encode(self, array: Array) -> bytes | None:
        """Return the bytes of a non-empty array, or None when this codec cannot hold it."""
        ...

    def decode(self, data: bytes, out: Array) -> None:
        """Fill `out` (its length and dtype are those of what was encoded) from bytes, or raise `ValueError`."""
        ...


def distinct(array: Array) -> int:
    """Return how many different bit patterns an array of 8-byte items holds; sorting is faster than hashing here."""
    ordered = np.sort(array.view(np.int64))
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def same_bits(left: Array, right: Array) -> bool:
    """Return whether two arrays of 8-byte items agree bit for bit (NaN payloads and -0.0 included)."""
    return left.shape == right.shape and left.tobytes() == right.tobytes()
