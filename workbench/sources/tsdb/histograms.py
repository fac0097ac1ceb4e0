"""Native histograms of blocks and logs: decoded, and put beside the numbers of their series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.codecs.prometheus_chunk import XorChunks
from workbench.codecs.prometheus_histogram import HistogramChunks, read_histogram_chunks
from workbench.signals.histograms import BASE, CUSTOM, Histograms, lay_out
from workbench.sources.histogram_columns import SIZES, UNSOUND, Columns, built
from workbench.sources.tsdb.chunks import Found

__all__ = ["Mixed", "decoded", "logged", "mixed"]

_Ints = npt.NDArray[np.int64]


class Mixed(NamedTuple):
    """Samples of k chunks, numbers and histograms: chunk i owns `offsets[i]` to `offsets[i + 1]`, m in all."""

    offsets: _Ints
    time_ms: _Ints
    value: npt.NDArray[np.float64]
    row: _Ints
    pool: Histograms


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


def mixed(
    numbers: XorChunks, got: HistogramChunks, which: npt.NDArray[np.bool_], lost: Callable[[int, str], None]
) -> Mixed:
    """Return the samples of all chunks; those of histograms that make no sense are told and left out.

    Parameters
    ----------
    numbers : XorChunks
        Of all k chunks, none of those that hold histograms.
    got : HistogramChunks
        Of the chunks that do, as `decoded` returns them.
    which : ndarray of bool, shape (k,)
    lost : callable
    """
    at, n = np.flatnonzero(which), np.diff(got.offsets)
    chunk = np.repeat(np.arange(len(at)), n)
    known = _known(got, chunk)
    bad = np.bincount(chunk[~known], minlength=len(at)) > 0
    for i in at[bad].tolist():
        lost(i, "whose histograms make no sense here")
    kept = ~bad[chunk]
    counts = np.diff(numbers.offsets)
    counts[at] = np.where(bad, 0, n)
    offsets = np.append(0, np.cumsum(counts)).astype(np.int64)
    time, value = np.empty(offsets[-1], np.int64), np.zeros(offsets[-1])
    row = np.full(offsets[-1], -1, np.int64)
    histogram = np.repeat(which, counts)
    time[~histogram], value[~histogram] = numbers.time_ms, numbers.value
    time[histogram] = got.time_ms[kept]
    row[histogram] = np.arange(int(kept.sum()))
    pool = _pool(got, chunk, kept)
    # What makes no sense must not stand in the pool, either: it is checked as a whole.
    return Mixed(offsets, time, value, row, pool.take(np.flatnonzero(kept)) if bad.any() else pool)


def _known(got: HistogramChunks, chunk: _Ints) -> npt.NDArray[np.bool_]:
    """Return which samples have a schema and buckets that are known."""
    custom = got.schema == CUSTOM
    known: npt.NDArray[np.bool_] = custom | ((got.schema >= -4) & (got.schema <= 8))
    owner = np.repeat(np.arange(len(known)), np.diff(got.cells))
    sizes = np.array([len(b) for b in got.bounds] or [0], np.int64)
    falls = np.array([not (np.diff(b) > 0).all() for b in got.bounds] or [False])
    far = np.where(custom, BASE + sizes[chunk] if len(chunk) else 0, 2 * BASE - 1)
    wrong = (got.key > far[owner]) | (got.key < np.where(custom, BASE, 1 - 2 * BASE)[owner])
    wrong[1:] |= (owner[1:] == owner[:-1]) & (got.key[1:] <= got.key[:-1])
    known &= np.bincount(owner[wrong], minlength=len(known)) == 0
    return known & ~(custom & falls[chunk]) if len(chunk) else known


def _pool(got: HistogramChunks, chunk: _Ints, kept: npt.NDArray[np.bool_]) -> Histograms:
    custom = (got.schema == CUSTOM) & kept  # bounds that make no sense are not laid out
    sizes = np.array([len(b) for b in got.bounds] or [0], np.int64)
    flat = np.concatenate([np.empty(0), *got.bounds])
    start = np.cumsum(sizes) - sizes
    own = np.where(custom, sizes[chunk], 0) if len(chunk) else np.zeros(0, np.int64)
    whose = np.repeat(np.arange(len(own)), own)
    inside = np.arange(len(whose)) - np.repeat(np.cumsum(own) - own, own)
    bounds = flat[start[chunk[whose]] + inside] if len(whose) else flat[:0]
    layout, table = lay_out(custom, own, bounds)
    return Histograms(
        got.schema.astype(np.int16), got.zero_threshold, got.zero_count, got.count, got.sum, got.hint.astype(np.int8),
        layout, got.cells, got.key, got.bucket, table,
    )  # fmt: skip


def logged(records: Sequence[bytes], skips: Counter[str]) -> tuple[_Ints, _Ints, Histograms]:
    """Return references of series, times in ms, and the histograms of all records of histograms of a log."""
    from workbench.sources.tsdb.histogram_kernels import scan_histograms

    end = np.cumsum([len(record) for record in records], dtype=np.int64)
    begin = np.append(0, end[:-1]).astype(np.int64) if len(end) else end
    data = np.frombuffer(b"".join(records), np.uint8)
    sizes = np.zeros(SIZES, np.int64)
    broken = scan_histograms(data, begin, end, *Columns.room(), sizes)
    columns = Columns.room(sizes)
    if sizes[0]:
        scan_histograms(data, begin, end, *columns, np.zeros(SIZES, np.int64))
    pool, sound = built(columns)
    skips.update(
        +Counter({"record of histograms in a log that does not decode": int(broken), UNSOUND: int((~sound).sum())})
    )
    heads = columns.heads[sound]
    return heads[:, 0].copy(), heads[:, 1].copy(), pool
