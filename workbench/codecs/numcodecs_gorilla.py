"""Gorilla as a codec of `numcodecs`, so that Zarr arrays and whatever else takes those codecs can be kept with it.

With this package installed, `numcodecs.get_codec({"id": "workbench.gorilla"})` finds it. Works without `numcodecs`, too:
then it is a class with `encode` and `decode` that nobody looks up.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from workbench.codecs import varint
from workbench.codecs.gorilla import Gorilla

try:
    _Base: Any = import_module("numcodecs.abc").Codec
except ImportError:
    _Base = object

__all__ = ["GorillaCodec"]


class GorillaCodec(_Base):  # type: ignore[misc]
    """`[number of values, varint][Gorilla, if there are any]` of a buffer of float64, flattened in C order."""

    codec_id = "workbench.gorilla"

    def encode(self, buf: Any) -> bytes:
        """Return the bytes of a buffer whose size is a whole number of float64.

        Raises
        ------
        ValueError
            If it is not.
        """
        data = memoryview(buf).tobytes()
        if len(data) % 8:
            raise ValueError(f"Gorilla takes float64: {len(data)} bytes are not a whole number of them")
        values = np.frombuffer(data, np.float64)
        return varint.write(len(values)) + ((Gorilla().encode(values) or b"") if len(values) else b"")

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the values as float64, shape (n,), or fill the buffer `out` with them and return it.

        Raises
        ------
        ValueError
            If the bytes are damaged, or `out` has another size.
        """
        data = memoryview(buf).tobytes()
        n, at = varint.read(data, 0)
        if n > 8 * len(data):
            raise ValueError(f"{len(data)} bytes do not hold {n} values")
        values = np.empty(n)
        if n:
            Gorilla().decode(data[at:], values)
        if out is None:
            return values
        target = np.asarray(out)
        if target.nbytes != values.nbytes or not target.flags.c_contiguous:
            raise ValueError(f"{n} values do not fit into a buffer of {target.nbytes} bytes")
        target.reshape(-1).view(np.float64)[:] = values
        return out
