"""Which codec holds a chunk best: try the applicable ones, keep the smallest that comes back bit for bit.

Nothing is written that was not decoded again and compared first; `raw` holds whatever the others cannot.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.codecs.codec import Array, Codec, same_bits
from workbench.codecs.constant import Constant
from workbench.codecs.packed import Packed
from workbench.codecs.raw import Raw
from workbench.codecs.runs import Runs
from workbench.codecs.table import PLAIN, by_id, installed, plain, weight
from workbench.errors import check_one_of

__all__ = ["decode", "decode_into", "encode"]

_READ_ONLY = (2, 3, 6, 7)
"""`decimal`, `pco`, `pco-int`: `narrow` and `page` write the same smaller. `gorilla`: it is there for other programs;
of real chunks of 480 samples and more it was never the smallest, and whoever reads one waits until numba is loaded."""

_EFFORTS = ("best", "quick", "fast")
_NAMES = {"f": "float64", "i": "int64"}
_PAGES, _MUCH, _VALUE = 1.35, 1.1, 0.1
"""Where reading quickly counts, one page of pco must be so many times smaller than `packed`, which is decoded in a third
of the time, what needs more than a page so many times that; and both by so many bytes for each value."""

_SHORT = 16
_SELDOM = 4
_CONSTANT, _RAW = Constant(), Raw()


@cache
def _rivals(kind: str) -> tuple[Codec, ...]:
    known = {1, 4, *_READ_ONLY, *PLAIN}
    return tuple(codec for i, codec in sorted(installed().items()) if _NAMES[kind] in codec.dtypes and i not in known)


def encode(array: Array, effort: str = "best") -> tuple[int, bytes]:
    """Return the codec id and the bytes that hold an array.

    Parameters
    ----------
    array : ndarray of float64 or int64, shape (n,), n >= 1, contiguous
    effort : {"best", "quick", "fast"}
        "best" tries everything and keeps the smallest, for what is kept for long; "quick" too, but what takes longer
        to decode than `packed` must be a good deal smaller, for what is read often; "fast" takes the form that suits,
        for what is sealed now and compacted later.

    Raises
    ------
    InvalidInput
        If the effort is neither.
    """
    if effort not in _EFFORTS:
        check_one_of(effort, _EFFORTS, "effort")
    constant = _CONSTANT.encode(array)
    if constant is not None:
        return Constant.id, constant
    for number, blob in _suitable(array) if effort == "fast" else _smallest(array, effort == "quick"):
        if _holds(number, blob, array):
            break
    else:
        number, blob = Raw.id, _RAW.encode(array)
    if len(array) <= _SHORT and len(blob) > array.nbytes:
        raw = _RAW.encode(array)
        return (Raw.id, raw) if len(raw) < len(blob) else (number, blob)
    return number, blob


def _suitable(array: Array) -> list[tuple[int, bytes]]:
    """Return the one form that suits: runs where few values change, else decimals or floats as they are."""
    if array.dtype.kind == "i":
        steps = by_id(5).encode(array)
        return [(5, steps)] if steps is not None else []
    bits = array.view(np.int64)
    changes = np.flatnonzero(bits[1:] != bits[:-1])
    if len(changes) * _SELDOM < len(array):
        runs = Runs("fast").of_changes(array, changes)
        if runs is not None:
            return [(Runs.id, runs)]
    found = plain(array, "fast")
    return [] if found is None else [found]


def _smallest(array: Array, quick: bool) -> list[tuple[int, bytes]]:
    """Return all forms that apply, the best first: the smallest, but what takes longer to decode must be smaller yet."""
    forms = [(codec.id, codec.encode(array)) for codec in _rivals(array.dtype.kind)]
    found = [plain(array), *((i, blob) for i, blob in forms if blob is not None)]
    if not quick:
        return sorted((f for f in found if f is not None), key=weight)
    # What a form costs to decode is worth a part of its bytes and, where it is small, a tenth of a byte per value.
    return sorted(
        (f for f in found if f is not None),
        key=lambda f: len(f[1]) if f[0] == Packed.id else _PAGES * weight(f, _MUCH) + len(array) * _VALUE,
    )


def _holds(number: int, blob: bytes, array: Array) -> bool:
    out = np.empty_like(array)
    try:
        by_id(number).decode(blob, out)
    except ValueError:
        return False
    return same_bits(out, array)


def decode_into(number: int, blob: bytes, out: Array) -> None:
    """Fill `out` from the bytes of one chunk, or raise `ValueError` that says what is wrong with them."""
    codec = by_id(number)
    if _NAMES[out.dtype.kind] not in codec.dtypes:
        raise ValueError(f"the codec {codec.name!r} does not hold {out.dtype}")
    codec.decode(blob, out)


def decode(number: int, blob: bytes, n: int, dtype: str = "float64") -> Array:
    """Return the n values of one chunk as a new array."""
    out: Array = np.empty(n, dtype)
    decode_into(number, blob, out)
    return out
