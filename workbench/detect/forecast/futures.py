"""When a forecast will cross a threshold: with what probability, and at which step.

A probability per step does not say when a series first crosses, since neighbouring steps err together. So whole paths
are counted: the forecast plus each stretch of residuals that the backtest left, and minus it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import Block

__all__ = ["crossing", "error_paths"]


def error_paths(residuals: Block) -> Block:
    """Return residuals of origins as complete paths, each with both signs.

    Parameters
    ----------
    residuals : ndarray of float64, shape (n, k, h)
        NaN where nothing was observed.

    Returns
    -------
    ndarray of float64, shape (n, 2 k, h)
        A step that an origin did not see is filled from its own last step, grown with the square root of the distance
        as a random walk would; a step before the first it saw counts as no error.
    """
    ahead = np.arange(residuals.shape[2])
    seen = np.isfinite(residuals)
    last = np.maximum.accumulate(np.where(seen, ahead, -1), axis=2)
    held = np.take_along_axis(np.where(seen, residuals, 0.0), np.maximum(last, 0), 2)
    furthest = np.where(seen, ahead, -1).max(axis=2, initial=-1)[..., None]
    growth = np.sqrt((ahead + 1.0) / np.maximum(furthest + 1.0, 1.0))
    paths = np.where(ahead > furthest, held * growth, held)
    return np.concatenate([paths, -paths], axis=1)


def crossing(
    paths: Block, threshold: npt.NDArray[np.float64], above: npt.NDArray[np.bool_], quantiles: tuple[float, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how likely each series crosses its threshold, and when.

    Parameters
    ----------
    paths : ndarray of float64, shape (n, p, h)
        Possible futures of each series; the series knows none where all are NaN.
    threshold : ndarray of float64, shape (n,)
    above : ndarray of bool, shape (n,)
        Whether reaching or exceeding it is a crossing; else reaching or falling below.
    quantiles : tuple of float
        Of the time of crossing.

    Returns
    -------
    probability : ndarray of float64, shape (n,)
        Share of paths that cross; NaN without any path.
    step : ndarray of float64, shape (n, len(quantiles))
        First step (0 is the first one ahead) by which that share of all paths has crossed; NaN where it never has.
    """
    n, p, h = paths.shape
    limit = threshold[:, None, None]
    with np.errstate(invalid="ignore"):
        over = np.where(above[:, None, None], paths >= limit, paths <= limit)
    known = np.isfinite(paths).any(2)
    count = known.sum(1)
    first = np.where(over.any(2), over.argmax(2) if h else 0, np.inf)
    crossed = np.isfinite(first) & known
    probability = np.divide(crossed.sum(1), count, out=np.full(n, np.nan), where=count > 0)
    ordered = np.sort(np.where(crossed, first, np.inf), axis=1)
    step = np.full((n, len(quantiles)), np.nan)
    for column, q in enumerate(quantiles):
        rank = np.ceil(q * count).astype(np.int64) - 1
        valid = (count > 0) & (rank < crossed.sum(1))
        if p:
            at = np.take_along_axis(ordered, np.clip(rank, 0, p - 1)[:, None], 1)[:, 0]
            step[:, column] = np.where(valid, at, np.nan)
    return probability, step
