"""Where the buckets of native histograms lie: bounds, coarser resolutions, common custom bounds.

References
----------
Prometheus, "Native Histograms [specification]", sections on schemas and custom buckets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.query.promql.values import Floats, Ints
from workbench.signals.histograms import BASE, Histograms

__all__ = ["bucket_bounds", "coarser", "common_bounds", "magnitudes", "mapped_index"]


def _power(index: Ints, schema: Ints) -> Floats:
    """Return `2**(index / 2**schema)`, the upper bound of a bucket of positive values."""
    with np.errstate(over="ignore"):
        whole = np.where(schema >= 0, index >> np.maximum(schema, 0), index << np.maximum(-schema, 0))
        part = np.where(schema >= 0, index - (whole << np.maximum(schema, 0)), 0)
        bound = np.ldexp(np.exp2(part / np.exp2(np.maximum(schema, 0))), np.clip(whole, -1100, 1100))
    # The last bucket ends at the largest number; only the one behind it, of infinities, ends at +Inf.
    return np.asarray(np.where((whole == 1024) & (part == 0), np.finfo(np.float64).max, bound))


def magnitudes(key: Ints, schema: Ints) -> tuple[Floats, Floats]:
    """Return the smaller and the larger bound, by magnitude, of buckets of exponential schemas."""
    index = np.abs(key) - BASE
    return _power(index - 1, schema), _power(index, schema)


def bucket_bounds(pool: Histograms) -> tuple[Floats, Floats]:
    """Return the lower and the upper bound of every bucket, shape (b,)."""
    owner = pool.owner()
    custom = pool.custom[owner]
    if not custom.any():
        low, high = magnitudes(pool.key, pool.schema[owner].astype(np.int64))
    else:
        low, high = np.empty(len(owner)), np.empty(len(owner))
        low[~custom], high[~custom] = magnitudes(pool.key[~custom], pool.schema[owner[~custom]].astype(np.int64))
    negative = pool.key < 0
    low, high = np.where(negative, -high, low), np.where(negative, -low, high)
    if custom.any():
        layout, index = pool.layout[owner], pool.key - BASE
        for row, bounds in enumerate(pool.bounds):
            own = custom & (layout == row)
            ends = np.concatenate([[-np.inf], bounds, [np.inf]])
            low[own], high[own] = ends[index[own]], ends[index[own] + 1]
    return low, high


def coarser(key: Ints, levels: Ints) -> Ints:
    """Return the keys of the same buckets in a schema that is `levels` lower."""
    index = ((np.abs(key) - BASE - 1) >> levels) + 1
    return np.where(key > 0, BASE + index, -BASE - index)


def common_bounds(bounds: Sequence[Floats]) -> Floats:
    """Return the custom bounds that all have."""
    out = bounds[0]
    for other in bounds[1:]:
        out = np.intersect1d(out, other)
    return out


def mapped_index(index: Ints, bounds: Floats, common: Floats) -> Ints:
    """Return the index of custom buckets after only the common bounds are left."""
    upper = np.append(bounds, np.inf)[index]
    return np.searchsorted(common, upper, side="left").astype(np.int64)
