"""Change points: where the straight line that a series follows breaks.

References
----------
Binary segmentation (Vostrikova, 1981) of piecewise straight lines by least squares, with a penalty twice that of the
Bayesian information criterion (Schwarz, 1978): medians of neighbouring days are not independent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import Block

__all__ = ["changes"]

_LEAST = 7
"""Points on either side of a break, at least."""
_PENALTY = 2.0 * 3.0
"""Twice what three further parameters (place, level, slope) cost, in units of the logarithm of the points."""
_LEAST_DROP = 1e-9
_ROUNDS = 16


def changes(values: Block) -> npt.NDArray[np.bool_]:
    """Return where each series breaks: shape (n, t), True at the first point of each new stretch.

    Parameters
    ----------
    values : ndarray of float64, shape (n, t)
        One value per day or other block; NaN is none. Scaled to about 1.
    """
    n, t = values.shape
    found = np.zeros((n, t), bool)
    if t < 2 * _LEAST:
        return found
    sums = _sums(values)
    row, low, high = np.arange(n), np.zeros(n, np.int64), np.full(n, t)
    for _ in range(_ROUNDS):
        long = high - low >= 2 * _LEAST
        row, low, high = row[long], low[long], high[long]
        if not len(row):
            break
        at, worth = _best_break(sums, row, low, high)
        row, low, high, at = row[worth], low[worth], high[worth], at[worth]
        found[row, at] = True
        row, low, high = np.concatenate([row, row]), np.concatenate([low, at]), np.concatenate([at, high])
    return found


def _sums(values: Block) -> Block:
    """Return running sums of 1, x, y, xx, xy, yy over what is known: shape (6, n, t + 1)."""
    n, t = values.shape
    known = np.isfinite(values)
    y = np.where(known, values, 0.0)
    x = np.where(known, np.linspace(-1.0, 1.0, t), 0.0)
    sums = np.zeros((6, n, t + 1))
    for i, term in enumerate((known.astype(np.float64), x, y, x * x, x * y, y * y)):
        np.cumsum(term, axis=1, out=sums[i, :, 1:])
    return sums


def _error(sums: Block) -> Block:
    """Return the sum of squares that a straight line leaves, from sums of shape (6, ...)."""
    count, x, y, xx, xy, yy = sums
    size = np.maximum(count, 1.0)
    sxx, sxy, syy = xx - x * x / size, xy - x * y / size, yy - y * y / size
    steep = np.divide(sxy, sxx, out=np.zeros_like(sxy), where=sxx > 1e-12)
    left: Block = np.maximum(syy - steep * sxy, 0.0)
    return left


def _best_break(
    sums: Block, row: npt.NDArray[np.int64], low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return, for each stretch [low, high) of a row, the best place to break it and whether that is worth it."""
    begin, end = sums[:, row, low], sums[:, row, high]
    here = sums[:, row, :]
    left, right = here - begin[..., None], end[..., None] - here
    error = _error(left) + _error(right)
    place = np.arange(sums.shape[2])
    fits = (place >= (low + _LEAST)[:, None]) & (place <= (high - _LEAST)[:, None])
    fits &= (left[0] >= _LEAST) & (right[0] >= _LEAST)
    error = np.where(fits, error, np.inf)
    at = error.argmin(axis=1)
    least = error[np.arange(len(row)), at]
    whole = _error(end - begin)
    count = np.maximum((end - begin)[0], 2.0)
    # Rounding leaves something of the order of 1e-16 per point: errors that small are all "none".
    floor = count * 1e-14
    gain = count * np.log(np.maximum(whole, floor) / np.maximum(np.where(np.isfinite(least), least, whole), floor))
    worth = np.isfinite(least) & (gain > _PENALTY * np.log(count)) & (whole - least > _LEAST_DROP * count)
    return at.astype(np.int64), worth & (count >= 2 * _LEAST)
