"""Windows over ragged samples, for all series and all steps at once.

`positions` finds window borders by two pointers, or by counting samples per step: O(samples + series x steps).
`totals` sums every window without prefix sums, whose differences would lose precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workbench.query.promql.values import Floats, Ints

__all__ = ["added", "blocks", "compensated", "expand", "heavy", "positions", "reduce", "totals"]

BLOCK = 1 << 16
"""Cells worked on at once, so that temporaries stay small."""


HEAVY = 400_000
"""Samples and cells from which compiled loops pay; below, their loading costs more than they save."""


def heavy(size: int) -> bool:
    """Return whether work of this size is worth a compiled loop."""
    return size >= HEAVY


def positions(time: Ints, offsets: Ints, at: Ints) -> Ints:
    """Return, per series and instant, the index behind the last sample at or before that instant.

    Parameters
    ----------
    time : ndarray of int64, shape (m,)
        Increasing within a series.
    offsets : ndarray of int64, shape (n + 1,)
    at : ndarray of int64, shape (t,)
        Not decreasing.

    Returns
    -------
    ndarray of int64, shape (n, t)
    """
    n, t = len(offsets) - 1, len(at)
    if heavy(len(time) + n * t):
        from workbench.query.promql.kernels import borders

        found = np.empty((n, t), np.int64)
        borders(time, offsets, at, found)
        return found
    if t > 1 and at[0] < at[-1] and (np.diff(at) == at[1] - at[0]).all():
        step = np.clip(-((at[0] - time) // (at[1] - at[0])), 0, t)
    else:
        step = np.searchsorted(at, time, side="left")
    row = np.repeat(np.arange(n, dtype=np.int64) * (t + 1), np.diff(offsets))
    counts = np.bincount(row + step, minlength=n * (t + 1)).reshape(n, t + 1)[:, :t]
    out: Ints = np.cumsum(counts, axis=1, dtype=np.int64)
    out += offsets[:-1, None]
    return out


def blocks(weights: Ints, limit: int = BLOCK) -> Iterator[slice]:
    """Return slices of rows whose weights add up to about `limit` or less; a heavier row stands alone."""
    total = np.cumsum(weights)
    start = 0
    while start < len(weights):
        base = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, base + limit, side="right")))
        yield slice(start, stop)
        start = stop


def reduce(function: np.ufunc, value: npt.NDArray[np.float64], low: Ints, high: Ints, empty: float) -> Floats:
    """Return a ufunc's reduction of `value[low:high]` for windows of any shape, `empty` where there is no sample."""
    out = np.full(low.shape, empty)
    some = high > low
    if some.any():
        pairs = np.empty(2 * int(some.sum()), np.int64)
        pairs[0::2], pairs[1::2] = low[some], high[some]
        first = int(pairs[0::2].min())
        # One more sample behind the last window, so that its end is an index.
        near = np.append(value[first : int(pairs[1::2].max())], 0.0)
        out[some] = function.reduceat(near, pairs - first)[::2]
    return out


def _near(value: Floats, low: Ints, high: Ints) -> tuple[Floats, Ints, Ints]:
    """Return the part of the samples that windows touch, and the windows in it."""
    some = high > low
    first = int(low[some].min(initial=len(value)))
    near = value[first : int(high[some].max(initial=first))]
    return near, np.where(some, low - first, 0), np.where(some, high - first, 0)


def totals(value: Floats, low: Ints, high: Ints) -> Floats:
    """Return the sum of every window; windows whose terms nearly cancel are summed again with compensation."""
    if heavy(int((high - low).sum())):
        from workbench.query.promql.kernels import sums

        out = np.empty(low.size)
        sums(value, low.ravel(), high.ravel(), out)
        return out.reshape(low.shape)
    value, low, high = _near(value, low, high)
    with np.errstate(invalid="ignore", over="ignore"):
        out = reduce(np.add, value, low, high, 0.0)
        size = reduce(np.add, np.abs(value), low, high, 0.0)
        poor = (np.abs(out) < 1e-2 * size) | (np.isinf(size) & ~np.isinf(out) & ~np.isnan(out))
    poor |= np.isnan(out) & ~np.isnan(size)
    if poor.any():
        out[poor] = compensated(value, low[poor], high[poor])
    return out


def added(x: Floats, total: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """Return sums, and what their rounding lost, with one more term each, as Neumaier has it."""
    new = total + x
    error = np.where(np.abs(total) >= np.abs(x), (total - new) + x, (x - new) + total)
    return new, np.where(np.isinf(new), 0.0, lost + error)


def compensated(value: Floats, low: Ints, high: Ints) -> Floats:
    """Return window sums with Neumaier's compensation: a loop over the place in the window, all windows at once."""
    total, lost = np.zeros(len(low)), np.zeros(len(low))
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(int((high - low).max(initial=0))):
            live = low + k < high
            x = np.where(live, value[np.where(live, low + k, 0)], 0.0)
            total, lost = added(x, total, lost)
        return np.asarray(np.where(np.isinf(total), total, total + lost))


def expand(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Return every sample of every window: its index, and the flat number of its window."""
    counts = (high - low).ravel()
    window = np.repeat(np.arange(counts.size, dtype=np.int64), counts)
    starts = np.cumsum(counts) - counts
    return np.arange(window.size, dtype=np.int64) + np.repeat(low.ravel() - starts, counts), window
