"""Medians and quantiles of many series at once; NaN is "no sample" and never counts.

numpy's own NaN-aware functions go row by row in Python; a plain sort puts NaN last, so one sort and a gather do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Block", "median", "median_and_mad", "quantile_of_sorted"]

Block = npt.NDArray[np.float64]

MAD_TO_SIGMA = 1.4826
"""What a median absolute deviation is multiplied with to estimate the standard deviation of normal noise."""


def quantile_of_sorted(ordered: Block, count: npt.NDArray[np.int64], q: float) -> Block:
    """Return quantile `q` along the last axis of sorted values, the first `count` of them valid; NaN where none is."""
    if ordered.shape[-1] == 0:
        return np.full(ordered.shape[:-1], np.nan)
    position = np.maximum(count - 1, 0) * q
    below = np.floor(position).astype(np.int64)
    above = np.ceil(position).astype(np.int64)
    low = np.take_along_axis(ordered, below[..., None], -1)[..., 0]
    high = np.take_along_axis(ordered, above[..., None], -1)[..., 0]
    weight = position - below
    return low * (1 - weight) + high * weight


def median(values: Block) -> Block:
    """Return the median along the last axis, ignoring NaN; NaN where there is none."""
    return quantile_of_sorted(np.sort(values, axis=-1), np.isfinite(values).sum(-1), 0.5)


def median_and_mad(values: Block) -> tuple[Block, Block]:
    """Return (median, median absolute deviation) along the last axis, ignoring NaN; NaN where there is none."""
    center = median(values)
    return center, median(np.abs(values - center[..., None]))
