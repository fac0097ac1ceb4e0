"""The columns of some buckets as bytes, and back: each column a codec-tagged blob, or the ways it differs from another.

A counter that is not reset has its least value first and its greatest last, and rises by their difference: such
columns cost a few bytes and no decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench import codecs
from workbench.store.rollup import Buckets
from workbench.store.rollup_sketch import Sketches

__all__ = ["BASES", "LIKE", "NUMBERS", "decode_column", "decode_sketches", "encode_columns", "encode_sketches"]

NUMBERS = {
    name: number
    for number, name in enumerate(
        (
            "bucket", "count", "nans", "sum", "min", "max", "first", "last", "t_first", "t_last", "increase", "sketch",
        )
    )
}  # fmt: skip
"""Position of each column in a block's table of blobs; it never changes."""

LIKE = 0
"""Codec id of a blob that says how a column differs from the ones in `BASES`: `[k 4][k x (position 4, value 8)]`."""

BASES = {"min": ("first",), "max": ("last",), "increase": ("last", "first")}
"""What a column is when nothing unusual happens: another one, or the difference of two."""

_TIMES = ("t_first", "t_last")
_EXCEPTION = np.dtype([("at", "<u4"), ("value", "<f8")])
_EFFORT = 1.0
"""Bytes per bucket up to which differences are written without looking for anything smaller."""

Array = npt.NDArray[Any]
Blob = tuple[int, bytes]


def _base(name: str, get: Callable[[str], Array]) -> Array:
    given = [get(other) for other in BASES[name]]
    if len(given) == 1:
        return given[0]
    with np.errstate(invalid="ignore", over="ignore"):
        difference: Array = given[0] - given[1]
    return difference


def _like(name: str, column: Array, columns: dict[str, Array]) -> bytes:
    base = _base(name, columns.__getitem__)
    other = np.flatnonzero((base.view(np.uint64) != column.view(np.uint64)) & ~(np.isnan(base) & np.isnan(column)))
    exceptions = np.empty(len(other), _EXCEPTION)
    exceptions["at"], exceptions["value"] = other, column[other]
    return len(other).to_bytes(4, "little") + exceptions.tobytes()


def encode_columns(buckets: Buckets, regular: bool, effort: str = "best") -> dict[str, Blob]:
    """Return codec id and bytes of each column of some buckets.

    Parameters
    ----------
    buckets : Buckets
        At least one; sorted.
    regular : bool
        Whether a reader knows the bucket numbers without being told.
    effort : {"best", "fast"}
        As of `codecs.encode`.
    """
    columns, out = buckets.columns, {}
    for name, column in columns.items():
        if name in _TIMES:  # how long before the bucket's end: alike for all series of a target
            lag = np.where(column < 0, buckets.step, buckets.bucket * buckets.step - column)
            out[name] = codecs.encode(lag, effort)
            continue
        like = _like(name, column, columns) if name in BASES else None
        if like is not None and len(like) <= _EFFORT * len(column):
            out[name] = LIKE, like
            continue
        out[name] = codecs.encode(np.ascontiguousarray(column), effort)
        if like is not None and len(like) < len(out[name][1]):
            out[name] = LIKE, like
    if not regular:
        out["bucket"] = codecs.encode(buckets.bucket, effort)
    return out


def decode_column(
    name: str, blob: Blob, n: int, step: int, get: Callable[[str], Array], out: Array | None = None
) -> Array:
    """Return one column of n buckets.

    Parameters
    ----------
    name : str
    blob : (int, bytes)
        Codec id and bytes, as `encode_columns` gave them.
    n, step : int
    get : callable
        Returns another column of the same buckets (times need `bucket`).
    out : ndarray, shape (n,), optional
        Where to put it.

    Raises
    ------
    ValueError
        If the bytes are not n values.
    """
    codec, data = blob
    if out is None:
        out = np.empty(n, np.int64 if name in ("bucket", "count", "nans", *_TIMES) else np.float64)
    if codec == LIKE:
        if name not in BASES or len(data) < 4 or len(data) != 4 + int.from_bytes(data[:4], "little") * 12:
            raise ValueError(f"the differences of column {name} are cut short")
        exceptions = np.frombuffer(data, _EXCEPTION, offset=4)
        if (exceptions["at"] >= n).any():
            raise ValueError(f"column {name} differs in a bucket that is not there")
        out[:] = _base(name, get)
        out[exceptions["at"]] = exceptions["value"]
        return out
    codecs.decode_into(codec, data, out)
    if name in _TIMES:
        out[:] = np.where(out == step, -1, get("bucket") * step - out)
    return out


def encode_sketches(sketches: Sketches, effort: str = "best") -> bytes:
    """Return `[cells 4]`, then three times `[codec 1][bytes 4][blob]`: cells per bucket, keys, counts."""
    out = [len(sketches.key).to_bytes(4, "little")]
    for part in (np.diff(sketches.offsets), sketches.key, sketches.count):
        codec, data = codecs.encode(np.ascontiguousarray(part), effort) if len(part) else (LIKE, b"")
        out += [bytes([codec]), len(data).to_bytes(4, "little"), data]
    return b"".join(out)


def decode_sketches(data: bytes, n: int) -> Sketches:
    """Return the sketches of n buckets, or raise `ValueError` when the bytes are none."""
    cells, at, parts = int.from_bytes(data[:4], "little"), 4, []
    for size in (n, cells, cells):
        if len(data) < at + 5:
            raise ValueError("a sketch is cut short")
        codec, length = data[at], int.from_bytes(data[at + 1 : at + 5], "little")
        part = np.empty(size, np.int64)
        if size:
            codecs.decode_into(codec, data[at + 5 : at + 5 + length], part)
        at += 5 + length
        parts.append(part)
    offsets = np.append(0, np.cumsum(parts[0]))
    if offsets[-1] != cells or (parts[0] < 0).any():
        raise ValueError("a sketch has more or fewer cells than its buckets")
    return Sketches(offsets, parts[1], parts[2])
