"""Which other series moved when one did, and how much earlier or later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import Block, median, median_and_mad

__all__ = ["Neighbour", "neighbours"]

_FAR = 8.0
"""Median deviations from the median beyond which a sample counts no more: one spike is not the whole picture."""
_FEWEST = 8


class Neighbour(NamedTuple):
    """A series that moved along: its row, the correlation (-1 to 1), and by how many steps it came later."""

    row: int
    correlation: float
    lag: int


def neighbours(
    residual: Block,
    row: int,
    column: int,
    moved: npt.NDArray[np.bool_],
    *,
    before: int = 24,
    after: int = 24,
    lags: int = 6,
    least: float = 0.6,
    most: int = 5,
) -> list[Neighbour]:
    """Return the series whose residuals around one onset go along with those of a series, strongest first.

    Parameters
    ----------
    residual : ndarray of float64, shape (n, t)
        Value less what was expected; NaN is none.
    row, column : int
        The series and where its anomaly begins.
    moved : ndarray of bool, shape (n,)
        Which series to consider at all; `row` itself never counts.
    before, after : int, optional
        Steps around the onset that are compared.
    lags : int, optional
        Steps by which another series may come earlier or later.
    least : float, optional
        Smallest correlation told, of either sign.
    most : int, optional

    Returns
    -------
    list of Neighbour
        Of equal correlations the smaller lag wins, then the earlier row.
    """
    t = residual.shape[1]
    first, last = max(0, column - before), min(t, column + after + 1)
    rows = np.flatnonzero(moved & (np.arange(len(residual)) != row))
    if last - first < _FEWEST or not len(rows):
        return []
    own = _level(residual[row : row + 1, first:last])
    own = own - own.mean()
    best, at = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    for lag in sorted(range(-lags, lags + 1), key=abs):
        a, b = first + lag, last + lag
        if a < 0 or b > t:
            continue
        other = _level(residual[rows, a:b])
        other -= other.mean(axis=1, keepdims=True)
        size = np.sqrt((own**2).sum() * (other**2).sum(axis=1))
        found = np.divide(other @ own[0], size, out=np.zeros(len(rows)), where=size > 0)
        better = np.abs(found) > np.abs(best) + 1e-9
        best[better], at[better] = found[better], lag
    order = np.lexsort((rows, np.abs(at), -np.round(np.abs(best), 9)))
    kept = [i for i in order if abs(best[i]) >= least][:most]
    return [Neighbour(int(rows[i]), float(np.clip(best[i], -1, 1)), int(at[i])) for i in kept]


def _level(block: Block) -> Block:
    """Return rows in median deviations from their median, far ones drawn in, missing ones at the median."""
    known = np.where(np.isfinite(block), block, np.nan)
    # By a power of two first, so that neither a difference nor a square overflows.
    size = np.frexp(np.nanmax(np.abs(known), axis=1, initial=0.0, keepdims=True))[1]
    known = np.ldexp(known, -size)
    center, spread = (side[:, None] for side in median_and_mad(known))
    away = known - center
    mean = median(np.where(away == 0, np.nan, np.abs(away)))[:, None]
    spread = np.where(spread > 0, spread, mean)
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.divide(away, spread, out=np.zeros_like(away), where=(spread > 0) & np.isfinite(away))
    drawn: Block = np.clip(scaled, -_FAR, _FAR)
    return drawn
