"""Which series `topk` and `bottomk` choose: Prometheus' heap, step for step, so that ties fall the same way.

The loop is plain Python for a few cells and compiled for many.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from workbench.query.promql.values import Bools, Floats, Ints

__all__ = ["best"]

_FEW = 20_000


def best(values: Floats, present: Bools, codes: Ints, groups: int, k: Ints) -> Bools:
    """Return which of the rows hold the k largest values of their group at every step, NaN last.

    Parameters
    ----------
    values, present : ndarray, shape (n, t)
    codes : ndarray of int64, shape (n,)
        Group of every row.
    groups : int
    k : ndarray of int64, shape (t,)
    """
    chosen = np.zeros(values.shape, bool)
    most = int(min(max(k.max(initial=0), 0), len(values)))
    if most:
        kept = np.zeros((groups, most), np.int64)
        loop = _loop if values.size < _FEW else _compiled()
        loop(values, present, codes, np.minimum(k, most), kept, chosen)
    return chosen


def _loop(values: Any, present: Any, codes: Any, k: Any, kept: Any, chosen: Any) -> None:
    """Fill `chosen`; `kept` (groups, most) is room for the heaps, the least of each in front, NaN less than all."""
    for j in range(values.shape[1]):
        size = np.zeros(kept.shape[0], np.int64)
        for i in range(values.shape[0]):
            if not present[i, j] or k[j] < 1:
                continue
            heap, n, x = kept[codes[i]], size[codes[i]], values[i, j]
            if n < k[j]:
                at = n
                size[codes[i]] = n + 1
                while at > 0:
                    up = (at - 1) // 2
                    above = values[heap[up], j]
                    if not (x != x or x < above):
                        break
                    heap[at] = heap[up]
                    at = up
                heap[at] = i
                continue
            least = values[heap[0], j]
            if not (least < x or (least != least and x == x)):
                continue
            at = 0
            while True:
                down = 2 * at + 1
                if down >= n:
                    break
                if down + 1 < n:
                    a, b = values[heap[down + 1], j], values[heap[down], j]
                    if a != a or a < b:
                        down += 1
                below = values[heap[down], j]
                if not (below != below or below < x):
                    break
                heap[at] = heap[down]
                at = down
            heap[at] = i
        for g in range(kept.shape[0]):
            for m in range(size[g]):
                chosen[kept[g, m], j] = True


@cache
def _compiled() -> Callable[..., None]:
    from workbench.codecs.compiled import compiled

    made: Callable[..., None] = compiled(_loop)
    return made
