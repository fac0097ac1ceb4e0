"""The loops of PromQL over many samples, compiled. Import this inside the function that needs it: numba loads slowly.

Windows are found by two pointers that only go forward; sums are compensated and in the order Prometheus adds, so that
results agree to the last digits. Every kernel has a twin in numpy beside the place that calls it, for small inputs.

References
----------
Prometheus, `promql/functions.go` and `util/kahansum`; A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation
endlicher Summen", ZAMM 54, 1974; D. Lemire, "Streaming maximum-minimum filter", 2006.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

__all__ = ["borders", "compiled", "extrapolated", "extremes", "group_sums", "quantiles", "regressions", "variances"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled, and kept on disk where there is a place for it."""
    try:
        made: Callable[..., Any] = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to write a cache: compile in every process
        made = njit(nogil=True)(function)
    return made


@compiled
def borders(time: Any, offsets: Any, at: Any, out: Any) -> None:
    """Put into `out` (n, t) the index behind the last sample at or before each instant, which never decrease."""
    for i in range(len(offsets) - 1):
        k, stop = offsets[i], offsets[i + 1]
        for j in range(len(at)):
            while k < stop and time[k] <= at[j]:
                k += 1
            out[i, j] = k


@compiled
def extrapolated(
    time: Any,
    value: Any,
    offsets: Any,
    begin: Any,
    end: Any,
    closed: Any,
    counter: Any,
    seconds: Any,
    out: Any,
    found: Any,
) -> None:
    """Put into `out` (n, t) the extrapolated difference of windows, per second if `seconds` is above 0.

    Resets are positions in a list, and the ones inside a window another pair of pointers.
    """
    fallen = np.empty(len(value), np.int64)
    for i in range(len(offsets) - 1):
        first, stop = offsets[i], offsets[i + 1]
        resets = 0
        if counter:
            for k in range(first + 1, stop):
                if value[k] < value[k - 1]:
                    fallen[resets] = k
                    resets += 1
        low, high, one, two = first, first, 0, 0
        for j in range(len(end)):
            while low < stop and time[low] <= begin[j] - closed:
                low += 1
            if high < low:
                high = low
            while high < stop and time[high] <= end[j]:
                high += 1
            found[i, j] = high - low >= 2
            if high - low < 2:
                out[i, j] = np.nan
                continue
            last = high - 1
            result = value[last] - value[low]
            while one < resets and fallen[one] <= low:
                one += 1
            if two < one:
                two = one
            while two < resets and fallen[two] <= last:
                two += 1
            for r in range(one, two):
                result += value[fallen[r] - 1]
            to_start, to_end = (time[low] - begin[j]) / 1e9, (end[j] - time[last]) / 1e9
            sampled = (time[last] - time[low]) / 1e9
            average = sampled / (last - low)
            threshold = average * 1.1
            zero = sampled * (value[low] / result) if counter and result > 0 and value[low] >= 0 else np.inf
            if closed:
                to_start = min(to_start, zero)
            if to_start >= threshold:
                to_start = average / 2
            if not closed:
                to_start = min(to_start, zero)
            if to_end >= threshold:
                to_end = average / 2
            factor = (sampled + to_start + to_end) / sampled
            if seconds > 0:
                factor /= seconds
            out[i, j] = result * factor


@compiled
def extremes(value: Any, low: Any, high: Any, largest: Any, out: Any) -> None:
    """Put into `out` (n, t) the largest or smallest number of windows whose borders never decrease along a row.

    NaN counts only where there is nothing else. A queue holds the candidates, the best first.
    """
    queue = np.empty(len(value) + 1, np.int64)
    for i in range(low.shape[0]):
        head, tail, k = 0, 0, low[i, 0]
        for j in range(low.shape[1]):
            begin, stop = low[i, j], high[i, j]
            if k < begin:
                k = begin
            while k < stop:
                x = value[k]
                if x == x:  # not NaN
                    while tail > head and (value[queue[tail - 1]] <= x if largest else value[queue[tail - 1]] >= x):
                        tail -= 1
                    queue[tail] = k
                    tail += 1
                k += 1
            while head < tail and queue[head] < begin:
                head += 1
            if head == tail:
                head = tail = 0
            out[i, j] = value[queue[head]] if head < tail else np.nan


@compiled
def _added(x: Any, total: Any, lost: Any) -> Any:
    """Return a sum and what its rounding lost, with one more term."""
    new = total + x
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(x):
        return new, lost + ((total - new) + x)
    return new, lost + ((x - new) + total)


@compiled
def variances(value: Any, low: Any, high: Any, out: Any) -> None:
    """Put into `out` the variance of flat windows, by running means."""
    for w in range(len(low)):
        count, mean, lost_mean, squares, lost = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(low[w], high[w]):
            count += 1.0
            away = value[k] - (mean + lost_mean)
            mean, lost_mean = _added(away / count, mean, lost_mean)
            squares, lost = _added(away * (value[k] - (mean + lost_mean)), squares, lost)
        out[w] = (squares + lost) / count if count > 0 else np.nan


@compiled
def regressions(time: Any, value: Any, low: Any, high: Any, origin: Any, slope: Any, level: Any) -> None:
    """Put into `slope` (per second) and `level` (at `origin`) the least-squares line of flat windows of two or more."""
    for w in range(len(low)):
        slope[w] = level[w] = np.nan
        if high[w] - low[w] < 2:
            continue
        n, flat, first = float(high[w] - low[w]), True, value[low[w]]
        sx, cx, sy, cy, sxy, cxy, sxx, cxx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(low[w], high[w]):
            if value[k] != first:
                flat = False
            x = (time[k] - origin[w]) / 1e9
            sx, cx = _added(x, sx, cx)
            sy, cy = _added(value[k], sy, cy)
            sxy, cxy = _added(x * value[k], sxy, cxy)
            sxx, cxx = _added(x * x, sxx, cxx)
        if flat:
            if not np.isinf(first):
                slope[w], level[w] = 0.0, first
            continue
        sx, sy, sxy, sxx = sx + cx, sy + cy, sxy + cxy, sxx + cxx
        slope[w] = (sxy - sx * sy / n) / (sxx - sx * sx / n)
        level[w] = sy / n - slope[w] * sx / n


@compiled
def _place(ranked: Any, count: Any, x: Any) -> Any:
    """Return how many of the ranked numbers are smaller than `x`."""
    a, b = 0, count
    while a < b:
        middle = (a + b) // 2
        if ranked[middle] < x:
            a = middle + 1
        else:
            b = middle
    return a


@compiled
def quantiles(value: Any, low: Any, high: Any, q: Any, out: Any) -> None:
    """Put into `out` (n, t) the q-quantile (one q per step, 0 to 1) of windows whose borders never decrease.

    Numbers are kept ranked as the window moves; NaN is smaller than all.
    """
    widest = 1
    for i in range(low.shape[0]):
        for j in range(low.shape[1]):
            widest = max(widest, high[i, j] - low[i, j])
    ranked = np.empty(widest + 1)
    for i in range(low.shape[0]):
        begin, stop, count, unknown = low[i, 0], low[i, 0], 0, 0
        for j in range(low.shape[1]):
            if low[i, j] >= stop:
                begin = stop = low[i, j]
                count = unknown = 0
            while begin < low[i, j]:
                x = value[begin]
                begin += 1
                if x != x:
                    unknown -= 1
                    continue
                at = _place(ranked, count, x)
                count -= 1
                for k in range(at, count):
                    ranked[k] = ranked[k + 1]
            while stop < high[i, j]:
                x = value[stop]
                stop += 1
                if x != x:
                    unknown += 1
                    continue
                at = _place(ranked, count, x)
                for k in range(count, at, -1):
                    ranked[k] = ranked[k - 1]
                ranked[at] = x
                count += 1
            n = count + unknown
            if n == 0:
                out[i, j] = np.nan
                continue
            rank = q[j] * (n - 1)
            below = int(np.floor(rank))
            above = min(below + 1, n - 1)
            weight = rank - np.floor(rank)
            a = np.nan if below < unknown else ranked[below - unknown]
            b = np.nan if above < unknown else ranked[above - unknown]
            out[i, j] = a * (1 - weight) + b * weight


@compiled
def group_sums(values: Any, present: Any, codes: Any, total: Any, count: Any) -> None:
    """Add up the rows of every group, column by column, compensated: `total` and `count` (groups, t) start at zero."""
    lost = np.zeros_like(total)
    for i in range(values.shape[0]):
        g = codes[i]
        for j in range(values.shape[1]):
            if present[i, j]:
                count[g, j] += 1
                total[g, j], lost[g, j] = _added(values[i, j], total[g, j], lost[g, j])
    for g in range(total.shape[0]):
        for j in range(total.shape[1]):
            if not np.isinf(total[g, j]):
                total[g, j] += lost[g, j]
