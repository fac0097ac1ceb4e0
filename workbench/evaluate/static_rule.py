"""The bar to beat: a static threshold of mean and k standard deviations, with the best k that the labels can find.

Mean and standard deviation are those of each series' probation rows. The rule gets the same refractory as the detectors,
which keeps it from firing row after row on one incident.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.evaluate.hold import Hold
from workbench.evaluate.labelled import Block, LabelledSeries

__all__ = ["static_scores"]


def static_scores(series: Sequence[LabelledSeries], hold: Hold) -> dict[str, Block]:
    """Return for each row how many standard deviations it lies from the mean, both of the probation rows.

    Parameters
    ----------
    series : sequence of LabelledSeries
    hold : callable
        The refractory; `keep_all` for none.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        By key; 0 where there is no sample or nothing to compare with. A threshold on it is k.
    """
    return {one.key: one.rows(hold(_distance(one), one.step)) for one in series}


def _distance(one: LabelledSeries) -> Block:
    """Return the distances on the grid, at most 1e100."""
    past = one.value[: one.probation]
    past = past[np.isfinite(past)]
    if not len(past):
        return np.zeros_like(one.grid)
    # Through the largest value, so that values near the end of the range of float64 do not overflow.
    unit = max(float(np.abs(past).max()), np.finfo(np.float64).tiny)
    center, spread = float((past / unit).mean()), float((past / unit).std())
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(one.grid / unit - center) / max(spread, 1e-9)
    return np.minimum(np.nan_to_num(distance, nan=0.0, posinf=1e100), 1e100)
