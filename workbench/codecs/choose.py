"""Which codec holds a chunk best: try the applicable ones, keep the smallest that comes back bit for bit.

Nothing is written that was not decoded again and compared first; `raw` holds whatever the others cannot.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.codecs.codec import Array, Codec, same_bits
from workbench.errors import InvalidInput

__all__ = ["by_id", "decode", "decode_into", "encode"]


@cache
def _table() -> dict[int, Codec]:
    from workbench import registry

    table: dict[int, Codec] = {}
    for name, made in registry.load_all("workbench.codecs").items():
        codec: Codec = made()
        if codec.id in table:
            raise InvalidInput(f"codecs {table[codec.id].name!r} and {name!r} both claim the id {codec.id}.")
        table[codec.id] = codec
    return table


@cache
def _rivals(dtype: str) -> tuple[Codec, ...]:
    table = _table()
    return tuple(table[i] for i in sorted(table) if dtype in table[i].dtypes and i not in (1, 4))


def by_id(number: int) -> Codec:
    """Return a codec by the id stored beside its bytes.

    Raises
    ------
    ValueError
        If no codec with that id is installed.
    """
    codec = _table().get(number)
    if codec is None:
        raise ValueError(
            f"no codec has the id {number}: known are {sorted(_table())}; install the plug-in that wrote it"
        )
    return codec


def encode(array: Array) -> tuple[int, bytes]:
    """Return the codec id and the bytes that hold an array smallest.

    Parameters
    ----------
    array : ndarray of float64 or int64, shape (n,), n >= 1, contiguous
    """
    table = _table()
    constant = table[1].encode(array)
    if constant is not None:
        return 1, constant
    best: tuple[int, bytes] | None = None
    for codec in _rivals(array.dtype.name):
        blob = codec.encode(array)
        if blob is not None and (best is None or len(blob) < len(best[1])) and _holds(codec, blob, array):
            best = codec.id, blob
    if best is None or (len(array) <= 16 and len(best[1]) > array.nbytes):
        best = _smaller(best, (4, table[4].encode(array) or b""))
    return best


def _smaller(best: tuple[int, bytes] | None, other: tuple[int, bytes]) -> tuple[int, bytes]:
    return other if best is None or len(other[1]) < len(best[1]) else best


def _holds(codec: Codec, blob: bytes, array: Array) -> bool:
    out = np.empty_like(array)
    try:
        codec.decode(blob, out)
    except ValueError:
        return False
    return same_bits(out, array)


def decode_into(number: int, blob: bytes, out: Array) -> None:
    """Fill `out` from the bytes of one chunk, or raise `ValueError` that says what is wrong with them."""
    by_id(number).decode(blob, out)


def decode(number: int, blob: bytes, n: int, dtype: str = "float64") -> Array:
    """Return the n values of one chunk as a new array."""
    out: Array = np.empty(n, dtype)
    decode_into(number, blob, out)
    return out
