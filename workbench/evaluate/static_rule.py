"""The bar to beat: a static threshold of mean and k standard deviations, with the best k that the labels can find.

Mean and standard deviation are those of each series' probation rows. A refractory keeps the rule from firing row after
row on one incident; it is the same one may give any score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.evaluate.labelled import Block, LabelledSeries, Rows

__all__ = ["refractory", "static_scores"]


def static_scores(
    series: Sequence[LabelledSeries], quiet: float = 36_000.0, escalation: float = 1.3
) -> dict[str, Block]:
    """Return for each row how many standard deviations it lies from the mean, both of the probation rows.

    Parameters
    ----------
    series : sequence of LabelledSeries
    quiet, escalation : float, optional
        The refractory, in seconds and as a factor; `quiet` 0 for none.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        By key; 0 where there is no sample or nothing to compare with. A threshold on it is k.
    """
    return {one.key: refractory(_distance(one), one.time, quiet, escalation) for one in series}


def _distance(one: LabelledSeries) -> Block:
    past = one.value[: one.probation]
    past = past[np.isfinite(past)]
    if not len(past):
        return np.zeros(len(one.value))
    # Through the largest value, so that values near the end of the range of float64 do not overflow.
    unit = max(float(np.abs(past).max()), np.finfo(np.float64).tiny)
    center, spread = float((past / unit).mean()), float((past / unit).std())
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.abs(one.value / unit - center) / max(spread, 1e-9)
    return np.nan_to_num(distance, nan=0.0, posinf=np.finfo(np.float64).max)


def refractory(score: Block, time: Rows, quiet: float, escalation: float = 1.3) -> Block:
    """Return the scores with those silenced (0) that follow a higher one too soon.

    A score stays if nothing was let through in the last `quiet` seconds, or if it is more than `escalation` times what
    was: the same incident may speak again only when it became worse.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
    time : ndarray of int64, shape (n,)
        Nanoseconds, ascending.
    quiet : float
        Seconds; 0 lets everything through.
    escalation : float, optional
        At least 1.
    """
    if quiet <= 0:
        return score
    kept = np.zeros(len(score))
    # What was let through within the span only rises, so the last one is the highest.
    until, level = -(2**62), 0.0
    span = int(quiet * 1e9)
    values, times = score.tolist(), time.tolist()
    for row in np.flatnonzero(score > 0).tolist():
        if times[row] > until or values[row] > escalation * level:
            kept[row] = level = values[row]
            until = times[row] + span
    return kept
