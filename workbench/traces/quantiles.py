"""Groups of rows and quantiles of many groups at once, by one sort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["grouped", "grouped_quantiles"]


def grouped(rows: pd.DataFrame, keys: Sequence[str]) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
    """Return (group of every row, int64 of shape (m,); the distinct keys sorted, one row per group)."""
    names = list(keys)
    group = rows.groupby(names, sort=True).ngroup().to_numpy().astype(np.int64)
    return group, rows[names].drop_duplicates().sort_values(names, ignore_index=True)


def grouped_quantiles(
    group: npt.NDArray[np.int64], values: npt.NDArray[np.int64], n: int, quantiles: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return quantiles of `values` in each group, interpolated linearly between neighbours (numpy's default).

    Parameters
    ----------
    group : ndarray of int, shape (m,)
        Group of each value, 0 to n - 1.
    values : ndarray of int64, shape (m,)
    n : int
        Number of groups.
    quantiles : sequence of float, length q
        Each from 0 to 1.

    Returns
    -------
    ndarray of float64, shape (q, n)
        NaN where a group has no value.
    """
    out = np.full((len(quantiles), n), np.nan)
    counts = np.bincount(group, minlength=n)
    full = np.flatnonzero(counts)
    if not len(full):
        return out
    ordered = _sorted_in_groups(group, values, n).astype(np.float64)
    first = (np.cumsum(counts) - counts)[full]
    for row, q in enumerate(quantiles):
        position = (counts[full] - 1) * q
        below = np.floor(position).astype(np.int64)
        above = np.ceil(position).astype(np.int64)
        a, b = ordered[first + below], ordered[first + above]
        out[row, full] = a + (b - a) * (position - below)
    return out


def _sorted_in_groups(group: npt.NDArray[np.int64], values: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Return the values sorted by group, then by value."""
    low = int(values.min())
    width = int(values.max()) - low + 1
    if n * width < 2**63:
        # Group and value fit into one integer: sorting integers is several times faster than sorting by two keys.
        return np.sort(group * width + (values - low)) % width + low
    return values[np.lexsort((values, group))]
