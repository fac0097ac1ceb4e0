"""Two windows, one number per series: by how much the level moved, in units of its usual spread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.detect.robust import Block, median, median_and_mad
from workbench.errors import ShapeError

__all__ = ["shift"]


def shift(before: Block, during: Block, floor: float | npt.NDArray[np.float64] = 1e-9, share: float = 0.05) -> Block:
    """Return the robust shift of each series: the change of its median over its spread before.

    The spread is the largest of the median absolute deviation, `share` of the median before, and `floor`.

    Parameters
    ----------
    before : ndarray of float64, shape (n, a)
        Samples of the fault-free window; NaN is no sample.
    during : ndarray of float64, shape (n, b)
        Samples of the window judged.
    floor : float or ndarray of float64, shape (n,), optional
        Least spread in the unit of the series; give one where a series may lie flat at 0.
    share : float, optional
        Least spread as a share of the median before.

    Returns
    -------
    ndarray of float64, shape (n,)
        Signed, positive = rose; NaN where either window has no sample.
    """
    before, during = np.asarray(before, np.float64), np.asarray(during, np.float64)
    if before.ndim != 2 or during.ndim != 2 or len(before) != len(during):
        raise ShapeError(
            f"shift needs two blocks (series, time) of the same series; got {before.shape}, {during.shape}."
        )
    center, mad = median_and_mad(np.where(np.isfinite(before), before, np.nan))
    level = median(np.where(np.isfinite(during), during, np.nan))
    return (level - center) / np.maximum(np.maximum(mad, share * np.abs(center)), floor)
