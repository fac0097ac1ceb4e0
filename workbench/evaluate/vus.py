"""VUS-PR: the volume under the surface of precision and recall over thresholds and buffer lengths.

A label is rarely right to the row. So each labelled window gets a buffer on either side in which being near earns a
part: for buffer length l, a row d rows from the window earns sqrt(1 - d / l) up to d = l / 2. With y the labels so
softened and P what fires at a threshold,

    precision = sum(y P) / sum(P)
    recall    = min(1, sum(y P) / ((sum(labels) + sum(y)) / 2)) * (share of windows, with buffer, in which P fires)

The area under precision over recall, by trapezoids over every distinct threshold, is taken for each buffer length from
0 to the longest, and averaged over the lengths, again by trapezoids. Where buffers of two windows meet, the larger
label counts, and the windows stay two.

References
----------
Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin, "Volume Under the Surface: A New Accuracy Evaluation Measure
for Time-Series Anomaly Detection", PVLDB 15(11), 2022.
"""

from __future__ import annotations

import numpy as np

from workbench.evaluate.labelled import Block, Rows

__all__ = ["soft_labels", "vus_pr"]


def soft_labels(count: int, windows: Rows, length: int) -> Block:
    """Return the labels of `count` rows with buffers of `length`, from 0 to 1; windows as (first, last) rows."""
    soft = np.zeros(count)
    distance = np.arange(1, length // 2 + 1)
    slope = np.sqrt(1.0 - distance / max(length, 1))
    for first, last in windows.tolist():
        soft[first : last + 1] = 1.0
        left, right = first - distance, last + distance
        inside = left >= 0
        soft[left[inside]] = np.maximum(soft[left[inside]], slope[inside])
        inside = right < count
        soft[right[inside]] = np.maximum(soft[right[inside]], slope[inside])
    return soft


def vus_pr(score: Block, windows: Rows, longest: int, lengths: int = 17) -> float:
    """Return the volume under the precision-recall surface of one series, from 0 to 1.

    Parameters
    ----------
    score : ndarray of float64, shape (n,)
        High = stranger; NaN counts as the lowest.
    windows : ndarray of int64, shape (w, 2)
        First and last row of each window.
    longest : int
        Longest buffer, in rows.
    lengths : int, optional
        So many buffer lengths at most, evenly spaced from 0 to the longest.

    Returns
    -------
    float
        NaN where there is no window: then nothing can be recalled.
    """
    if not len(windows) or not len(score):
        return float("nan")
    score = np.nan_to_num(score, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(-score, kind="stable")
    rank = np.empty(len(score), np.int64)
    rank[order] = np.arange(len(score))
    ordered = score[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    buffers = np.unique(np.linspace(0, longest, min(lengths, longest + 1)).round().astype(np.int64))
    areas = np.array([_area(order, rank, ends, windows, int(length)) for length in buffers])
    if len(buffers) == 1:
        return float(areas[0])
    return float((np.diff(buffers) * (areas[1:] + areas[:-1]) / 2).sum() / (buffers[-1] - buffers[0]))


def _area(order: Rows, rank: Rows, ends: Rows, windows: Rows, length: int) -> float:
    """Return the area under precision over recall for one buffer length."""
    count = len(order)
    soft = soft_labels(count, windows, length)
    hits = np.cumsum(soft[order])[ends]
    half = length // 2
    seen = np.sort([rank[max(first - half, 0) : last + half + 1].min() for first, last in windows.tolist()])
    existence = np.searchsorted(seen, ends, "right") / len(windows)
    sharp = soft_labels(count, windows, 0)
    recall = np.minimum(1.0, hits / ((sharp.sum() + soft.sum()) / 2)) * existence
    precision = hits / (ends + 1)
    # The curve begins at recall 0 with the precision of the highest threshold.
    recall, precision = np.append(0.0, recall), np.append(precision[0], precision)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())
