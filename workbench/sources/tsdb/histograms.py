"""Native histograms of blocks, heads and logs: decoded, and counted as not stored.

`decoded` gives all there is to know of those in chunks; from there they go into samples once samples hold histograms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from workbench.codecs import varint
from workbench.codecs.prometheus_histogram import HistogramChunks, read_histogram_chunks
from workbench.sources.tsdb.chunks import Found

__all__ = ["UNSTORED", "count_in_records", "decoded"]

UNSTORED = "native histogram sample, which is not stored yet"
"""The reason under which they are counted."""

_NEWER = (12, 13)
_FLOATS = (8, 10, 13)
_CUSTOM = -53


def decoded(found: Found, which: npt.NDArray[np.bool_], lost: Callable[[int, str], None]) -> HistogramChunks:
    """Return the samples of some chunks.

    Parameters
    ----------
    found : Found
    which : ndarray of bool, shape (k,)
        Which of them are chunks of histograms.
    lost : called with number and reason of every chunk that does not decode
    """
    at = np.flatnonzero(which)
    got = read_histogram_chunks(found.data, found.begin[at], found.end[at], found.encoding[at])
    for i in at[~got.sound].tolist():
        lost(i, "that does not decode")
    return got


def count_in_records(records: Sequence[bytes]) -> tuple[int, int]:
    """Return how many samples of histograms the records of a log hold, and how many records do not decode."""
    count = broken = 0
    for record in records:
        try:
            count += _count(record)
        except ValueError:
            broken += 1
    return count, broken


def _count(record: bytes) -> int:
    newer, floats = record[0] in _NEWER, record[0] in _FLOATS
    at, n = 1 if newer else 17, 0
    if len(record) > 1 and at > len(record):
        raise ValueError("a record of histograms ends inside its head")
    while at < len(record):
        at = _numbers(record, at, 2)
        if newer and n == 0:
            at = _numbers(record, at, 1)
        elif newer:
            at += 1
            if record[at - 1 : at] not in (b"\x00", b"\x01"):
                at = _numbers(record, at, 1)
        at = _histogram(record, at, floats=floats)
        n += 1
    return n


def _numbers(record: bytes, at: int, n: int) -> int:
    """Return the byte behind n numbers of seven-bit groups."""
    for _ in range(n):
        _, at = varint.read(record, at, 10)
    return at


def _histogram(record: bytes, at: int, *, floats: bool) -> int:
    """Return the byte behind one histogram."""
    folded, at = varint.read(record, at + 1, 10)
    at = at + 32 if floats else _numbers(record, at + 8, 2) + 8
    for _ in range(2):
        n, at = varint.read(record, at, 10)
        at = _numbers(record, at, 2 * _fitting(n, record, at))
    for _ in range(2):
        n, at = varint.read(record, at, 10)
        at = at + 8 * n if floats else _numbers(record, at, _fitting(n, record, at))
    if (folded >> 1) ^ -(folded & 1) == _CUSTOM:
        n, at = varint.read(record, at, 10)
        at += 8 * n
    if at > len(record):
        raise ValueError("a histogram in a log does not end")
    return at


def _fitting(n: int, record: bytes, at: int) -> int:
    if n > len(record) - at:
        raise ValueError(f"{n} numbers in {len(record) - at} bytes")
    return n
