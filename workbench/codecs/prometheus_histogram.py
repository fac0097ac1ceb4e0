"""The histogram chunks of Prometheus, of whole numbers and of floats, decoded many at a time.

References
----------
Prometheus, `tsdb/docs/format/chunks.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.codecs.prometheus_chunk import words_of

__all__ = ["HistogramChunks", "read_histogram_chunks"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HistogramChunks:
    """The samples of k chunks, m in all, with c buckets in all.

    Attributes
    ----------
    offsets : ndarray of int64, shape (k + 1,)
        Chunk i owns samples `offsets[i]` to `offsets[i + 1]`, none when it is not sound.
    time_ms, schema, hint : ndarray of int64, shape (m,)
        The schema is -4 to 8, or -53 for custom buckets; the hint 0 unknown, 1 after a reset, 2 without one, 3 gauge.
    zero_threshold, zero_count, count, sum : ndarray of float64, shape (m,)
        Of a stale sample the sum is the stale marker.
    cells : ndarray of int64, shape (m + 1,)
        Sample j owns cells `cells[j]` to `cells[j + 1]`, none when it is stale.
    key : ndarray of int64, shape (c,)
        Rising within a sample: 2**20 + index for a bucket of positive values, -(2**20 + index) for one of negative values.
    bucket : ndarray of float64, shape (c,)
        Observations per bucket, not cumulative.
    bounds : list of ndarray of float64
        Of each chunk, empty unless its buckets are custom.
    sound : ndarray of bool, shape (k,)
    """

    offsets: _Ints
    time_ms: _Ints
    schema: _Ints
    hint: _Ints
    zero_threshold: _Floats
    zero_count: _Floats
    count: _Floats
    sum: _Floats
    cells: _Ints
    key: _Ints
    bucket: _Floats
    bounds: list[_Floats]
    sound: npt.NDArray[np.bool_]


def read_histogram_chunks(data: npt.NDArray[np.uint8], begin: _Ints, end: _Ints, encoding: _Ints) -> HistogramChunks:
    """Return the samples of many chunks that lie in one array.

    Parameters
    ----------
    data : ndarray of uint8
        As `room` makes it.
    begin, end : ndarray of int64, shape (k,)
        Where each chunk lies, without the length, encoding and checksum around it.
    encoding : ndarray of int64, shape (k,)
        2 for chunks of whole numbers, 3 for those of floats.

    Raises
    ------
    ValueError
        If a chunk does not lie within the array.
    """
    from workbench.codecs.histogram_kernels import read_histograms

    words, sizes = words_of(data, begin, end), np.full((len(begin), 3), -1, np.int64)
    able = np.flatnonzero(end - begin >= 4)
    some = (begin[able], end[able], encoding[able])
    found = sizes[able]
    none, flat = np.empty((0, 4), np.int64), np.empty(0, np.float64)
    read_histograms(data, words, *some, found, none, none.astype(np.float64), none[:, 0], flat, flat)
    sizes[able] = found
    n, cells, n_bounds = np.maximum(sizes, 0).sum(axis=0).tolist()
    whole, numbers = np.empty((n, 4), np.int64), np.empty((n, 4), np.float64)
    key, bucket, bounds = np.empty(cells, np.int64), np.empty(cells, np.float64), np.empty(n_bounds, np.float64)
    if n:
        read_histograms(data, words, *some, found, whole, numbers, key, bucket, bounds)
    offsets = np.concatenate([[0], np.cumsum(np.maximum(sizes[:, 0], 0))]).astype(np.int64)
    edges = np.concatenate([[0], np.cumsum(whole[:, 3])]).astype(np.int64)
    parts = np.split(bounds, np.cumsum(np.maximum(sizes[:, 2], 0))[:-1]) if len(begin) else []
    time_ms, schema, hint = whole[:, 0], whole[:, 1], whole[:, 2]
    threshold, zeros, count, total = numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3]
    return HistogramChunks(
        offsets, time_ms, schema, hint, threshold, zeros, count, total, edges, key, bucket, parts, sizes[:, 0] >= 0
    )
