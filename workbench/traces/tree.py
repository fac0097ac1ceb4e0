"""The tree inside a spans frame: parents, depth, roots and self time, all as arrays over span rows.

The `parent` column already holds row numbers, so every walk up the tree is pointer doubling: each pass doubles the
distance looked at, and log2(depth) passes reach every root.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import ShapeError
from workbench.signals.rows import SPAN_COLUMNS, link_parents

__all__ = ["depth", "parents", "root_of", "roots", "self_time_ns"]

_NEEDED = ("time", "duration_ns", "service", "kind", "status", "parent")


def parents(spans: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the row of each span's parent, -1 for none, always a forest.

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows. A frame cut out of a larger one keeps row numbers of the larger; it is recognised by its index
        or by numbers out of range, and linked anew by ids.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    ShapeError
        If required columns are missing.
    """
    check_columns(spans)
    n = len(spans)
    parent = spans["parent"].to_numpy().astype(np.int64)
    index = spans.index
    whole = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    if n and (not whole or parent.max() >= n or parent.min() < -1 or not _is_forest(parent)):
        return link_parents(spans["trace_id"], spans["span_id"], spans["parent_span_id"]).astype(np.int64)
    return parent


def check_columns(spans: pd.DataFrame) -> None:
    """Raise `ShapeError` unless the frame has the columns that every function of this room reads."""
    missing = [name for name in _NEEDED if name not in spans.columns]
    if missing:
        raise ShapeError(f"spans lack the columns {missing}; required are {list(SPAN_COLUMNS)}: use build_spans.")


def _is_forest(parent: npt.NDArray[np.int64]) -> bool:
    n = len(parent)
    jump = np.append(np.where(parent < 0, n, parent), n)
    for _ in range(max(1, n.bit_length())):
        if (jump == n).all():
            return True
        jump = jump[jump]
    return bool((jump == n).all())


def depth(spans: pd.DataFrame) -> npt.NDArray[np.int32]:
    """Return how many parents lie above each span, 0 at a root; int32 of shape (n,)."""
    return _walk(parents(spans))[0].astype(np.int32)


def roots(spans: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the rows of the spans without a parent in the frame, int64 of shape (k,)."""
    return np.flatnonzero(parents(spans) < 0)


def root_of(spans: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the row of the root above each span (a root is its own), int64 of shape (n,)."""
    return _walk(parents(spans))[1]


def _walk(parent: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (depth, root row) of every row of a forest."""
    n = len(parent)
    jump = np.where(parent < 0, np.arange(n), parent)
    steps = (parent >= 0).astype(np.int64)
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            return steps, jump
        steps = steps + steps[jump]
        jump = further


def self_time_ns(spans: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return each span's duration minus the union of its children's intervals, clipped to the span.

    Children may overlap (parallel calls), start before their parent (skewed clocks) or end after it (asynchronous
    work); only what lies inside the parent is taken off, once.

    Parameters
    ----------
    spans : DataFrame
        Spans, n rows.

    Returns
    -------
    ndarray of int64, shape (n,)
        Nanoseconds, from 0 to the span's duration.
    """
    parent = parents(spans)
    duration = np.maximum(spans["duration_ns"].to_numpy().astype(np.int64), 0)
    start = spans["time"].to_numpy().astype("datetime64[ns]").view(np.int64)
    child = np.flatnonzero(parent >= 0)
    above = parent[child]
    offset = start[child] - start[above]
    low = np.clip(offset, 0, duration[above])
    # A child is cut to the room left in its parent before adding, so that durations near 2**63 cannot overflow.
    room = np.where(offset >= 0, np.maximum(duration[above] - np.maximum(offset, 0), 0), duration[child])
    high = np.clip(np.minimum(duration[child], room) + offset, 0, duration[above])
    covered = _union_length(above, low, np.maximum(low, high), len(parent))
    return duration - covered


def _union_length(
    group: npt.NDArray[np.int64], low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.int64]:
    """Return the length of the union of the intervals `[low, high)` of each group, int64 of shape (n,)."""
    covered = np.zeros(n, np.int64)
    if not len(group):
        return covered
    order = np.lexsort((low, group))
    group, low, high = group[order], low[order], high[order]
    # A running maximum per group: ranks by (group, high) grow from group to group, so one pass serves all groups.
    by_high = np.lexsort((high, group))
    rank = np.empty(len(group), np.int64)
    rank[by_high] = np.arange(len(group))
    reached = high[by_high[np.maximum.accumulate(rank)]]
    before = np.zeros(len(group), np.int64)
    before[1:] = np.where(group[1:] == group[:-1], reached[:-1], 0)
    np.add.at(covered, group, np.maximum(high - np.maximum(low, before), 0))
    return covered
