"""The loop that puts numbers of hidden series back at their histograms. Import this inside the function that needs it."""

from __future__ import annotations

from workbench.codecs.codec import Array
from workbench.codecs.compiled import compiled

__all__ = ["place"]


@compiled
def place(
    group: Array, family: Array, position: Array, begin: Array, end: Array, time: Array, value: Array,
    edges: Array, instants: Array, need: Array, have: Array, start: Array, out: Array,
) -> None:  # fmt: skip
    """Count the numbers that belong to each of k histograms, or with room in `out` put them in their places.

    Parameters
    ----------
    group, family, position : ndarray of int64, shape (p,)
        Of every hidden series: whose it is, -1 nobody's; what kind of number it holds; the how manieth of these.
    begin, end : ndarray of int64, shape (p,)
        Its samples, strictly increasing in time.
    time : ndarray of int64, shape (m,)
    value : ndarray of float64, shape (m,)
    edges : ndarray of int64, shape (g + 1,)
        Series g has the histograms `edges[g]` to `edges[g + 1]`.
    instants : ndarray of int64, shape (k,)
        Strictly increasing within a series.
    need : ndarray of int64, shape (k, 4)
        How many numbers of each family a histogram has; those beyond are of an older one, at the same instant.
    have : ndarray of int64, shape (k, 4)
        Counted up when `out` has no room.
    start : ndarray of int64, shape (k, 4)
        Where the first number of each family goes, -1 nowhere.
    out : ndarray of float64, shape (c,) or (0,)
    """
    for i in range(len(group)):
        if group[i] < 0:
            continue
        f, p = family[i], position[i]
        at, last = edges[group[i]], edges[group[i] + 1]
        for j in range(begin[i], end[i]):
            while at < last and instants[at] < time[j]:
                at += 1
            if at == last:
                break
            if instants[at] != time[j] or p >= need[at, f]:
                continue
            if len(out) == 0:
                have[at, f] += 1
            elif start[at, f] >= 0:
                out[start[at, f] + p] = value[j]
