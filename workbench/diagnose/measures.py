"""Small measures of difference between before and during, on arrays of groups.

Strengths are in decibans (10 times the decimal logarithm of a likelihood ratio: 10 means ten to one, 20 a hundred to
one); they saturate, because past a hundred thousand to one a larger figure says nothing more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["CEILING", "contrast", "rate_surprise", "share_surprise"]

CEILING = 50.0
"""Most decibans any single finding may give."""

_PER_NAT = 10.0 / np.log(10.0)

FloatArray = npt.NDArray[np.float64]


def share_surprise(
    hits_before: FloatArray, n_before: FloatArray, hits_during: FloatArray, n_during: FloatArray
) -> FloatArray:
    """Return decibans for "the share of hits rose" against "it stayed as it was"; 0 where it did not rise.

    The binomial log-likelihood ratio of the share during against the share before, both with half a hit added so that
    an unseen event is rare, not impossible. All arguments have shape (g,).
    """
    before = (hits_before + 0.5) / (n_before + 1.0)
    during = np.clip((hits_during + 0.5) / (n_during + 1.0), 1e-9, 1 - 1e-9)
    before = np.clip(before, 1e-9, 1 - 1e-9)
    missed = n_during - hits_during
    ratio = hits_during * np.log(during / before) + missed * np.log((1 - during) / (1 - before))
    return np.asarray(np.where(during > before, np.clip(ratio * _PER_NAT, 0, CEILING), 0.0))


def rate_surprise(before: FloatArray, seconds_before: float, during: FloatArray, seconds_during: float) -> FloatArray:
    """Return decibans for "events come faster" (Poisson, counts of shape (g,)); 0 where they do not."""
    old = (before + 0.5) / seconds_before
    new = (during + 0.5) / seconds_during
    ratio = during * np.log(new / old) - (new - old) * seconds_during
    return np.asarray(np.where(new > old, np.clip(ratio * _PER_NAT, 0, CEILING), 0.0))


def contrast(before: pd.DataFrame, during: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return one row per group present in both phases: how a duration changed.

    Parameters
    ----------
    before, during : DataFrame
        Rows with the columns `by` and `value`.
    by : list of str
    value : str
        Column of numbers, such as nanoseconds.

    Returns
    -------
    DataFrame
        Index: the groups. `n_before`, `n_during`, `mean_before`, `mean_during`, `median_before`, `median_during`,
        `over` (share of rows during that lie above the 95th percentile of before), `excess` (sum over the rows
        during of what exceeds the mean before; never negative), `certainty` (0-1: how far `over` lies beyond chance).
    """
    first, second = before.groupby(by, sort=False)[value], during.groupby(by, sort=False)[value]
    table = pd.DataFrame(
        {
            "n_before": first.size(),
            "mean_before": first.mean(),
            "median_before": first.median(),
            "limit": first.quantile(0.95),
        }
    ).join(
        pd.DataFrame({"n_during": second.size(), "mean_during": second.mean(), "median_during": second.median()}),
        how="inner",
    )
    if table.empty:
        return table.assign(over=0.0, excess=0.0, certainty=0.0)
    limits = during[by].merge(table["limit"].rename("limit").reset_index(), on=by, how="left")["limit"].to_numpy()
    above = during[by].assign(above=during[value].to_numpy() > limits)
    table["over"] = above.groupby(by, sort=False)["above"].mean()
    n = table["n_during"].to_numpy(float)
    chance = 0.05 + 1.0 / (table["n_before"].to_numpy(float) + 1.0)
    z = (table["over"].to_numpy(float) - chance) * np.sqrt(n / (chance * (1 - chance)))
    table["certainty"] = np.clip((z - 3.0) / 4.0, 0.0, 1.0)
    table["excess"] = np.maximum(table["mean_during"] - table["mean_before"], 0.0) * n
    return table
