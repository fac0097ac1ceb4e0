"""The loops of PromQL over many samples, compiled. Import this inside the function that needs it: numba loads slowly.

Windows are found by two pointers that only go forward; sums are compensated and in the order Prometheus adds, so that
results agree to the last digits. Every kernel has a twin in numpy beside the place that calls it, for small inputs.

References
----------
Prometheus, `promql/functions.go` and `util/kahansum`; A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation
endlicher Summen", ZAMM 54, 1974; D. Lemire, "Streaming maximum-minimum filter", 2006.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.codecs.compiled import compiled

__all__ = [
    "borders",
    "extrapolated",
    "extremes",
    "group_sums",
    "quantiles",
    "regressions",
    "sums",
    "variances",
]


@compiled
def _ahead(time: Any, k: Any, stop: Any, at: Any, stride: Any) -> Any:
    """Return the index, `k` or later, behind the last sample at or before `at`; `stride` is how far it went last time."""
    there = k + stride
    if there <= stop and (stride == 0 or time[there - 1] <= at):
        k = there
    while k < stop and time[k] <= at:
        k += 1
    return k


@compiled
def borders(time: Any, offsets: Any, at: Any, out: Any) -> None:
    """Put into `out` (n, t) the index behind the last sample at or before each instant, which never decrease."""
    for i in range(len(offsets) - 1):
        k, stop, stride = offsets[i], offsets[i + 1], 0
        for j in range(len(at)):
            last, k = k, _ahead(time, k, stop, at[j], stride)
            stride = k - last
            out[i, j] = k


@compiled
def _resets(value: Any, first: Any, stop: Any, fallen: Any) -> Any:
    """Put the samples below the one before them into `fallen`, and return their number; most blocks have none."""
    resets = 0
    for start in range(first + 1, stop, 256):
        end = min(start + 256, stop)
        here, before = value[start:end], value[start - 1 : end - 1]
        some = 0
        for k in range(len(here)):
            if here[k] < before[k]:
                some += 1
        if some > 0:
            for k in range(len(here)):
                if here[k] < before[k]:
                    fallen[resets] = start + k
                    resets += 1
    return resets


@compiled
def _stretched(raw: Any, low: Any, before: Any, after: Any, span: Any, gaps: Any, rule: Any, out: Any) -> None:
    """Put into `out` (t,) what samples rose by, `raw`, carried on to the borders of their windows.

    `before`, `after` and `span` are nanoseconds, `gaps` one less than the samples, `low` the first value; no branches,
    so that several windows are worked on at once. `rule` is closed borders, a counter, and the seconds to divide by.
    """
    closed, counter, seconds = rule
    for j in range(len(out)):
        to_start, to_end, sampled = before[j] / 1e9, after[j] / 1e9, span[j] / 1e9
        average = sampled / gaps[j]
        threshold, half = average * 1.1, average / 2
        zero = sampled * (low[j] / raw[j]) if counter and raw[j] > 0 and low[j] >= 0 else np.inf
        early = zero if closed and zero < to_start else to_start
        early = half if early >= threshold else early
        early = zero if zero < early else early
        late = half if to_end >= threshold else to_end
        out[j] = raw[j] * (((sampled + early + late) / sampled) / seconds)


@compiled
def extrapolated(time: Any, value: Any, offsets: Any, windows: Any, rule: Any, out: Any, found: Any) -> None:
    """Put into `out` (n, t) the extrapolated difference of windows.

    `windows` are their begins and ends, `rule` is closed borders, a counter, and the seconds to divide by. Resets are
    positions in a list, and the ones inside a window another pair of pointers.
    """
    begin, end = windows
    closed, counter, _ = rule
    t = len(end)
    fallen = np.empty(len(value) + 1, np.int64)
    raw, lowest, before, after, span, gaps = (
        np.empty(t),
        np.empty(t),
        np.empty(t),
        np.empty(t),
        np.empty(t),
        np.empty(t),
    )
    for i in range(len(offsets) - 1):
        first, stop = offsets[i], offsets[i + 1]
        resets = _resets(value, first, stop, fallen) if counter else 0
        low, high, one, two, left, right = first, first, 0, 0, 0, 0
        for j in range(t):
            last, low = low, _ahead(time, low, stop, begin[j] - closed, left)
            left = low - last
            last = max(high, low)
            high = _ahead(time, last, stop, end[j], right)
            right = high - last
            found[i, j] = high - low >= 2
            if high - low < 2:
                raw[j], lowest[j], before[j], after[j], span[j], gaps[j] = np.nan, 0.0, 0.0, 0.0, 1.0, 1.0
                continue
            last = high - 1
            result = value[last] - value[low]
            while one < resets and fallen[one] <= low:
                one += 1
            two = max(one, two)
            while two < resets and fallen[two] <= last:
                two += 1
            for r in range(one, two):
                result += value[fallen[r] - 1]
            raw[j], lowest[j], gaps[j] = result, value[low], last - low
            before[j], after[j], span[j] = time[low] - begin[j], end[j] - time[last], time[last] - time[low]
        _stretched(raw, lowest, before, after, span, gaps, rule, out[i])


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
def sums(value: Any, low: Any, high: Any, out: Any) -> None:
    """Put into `out` the sum of flat windows; where terms nearly cancel or overflow, with compensation."""
    for w in range(len(low)):
        k, stop = low[w], high[w]
        a, b, c, d, size = 0.0, 0.0, 0.0, 0.0, 0.0
        while k + 4 <= stop:
            a, b, c, d = a + value[k], b + value[k + 1], c + value[k + 2], d + value[k + 3]
            size += (abs(value[k]) + abs(value[k + 1])) + (abs(value[k + 2]) + abs(value[k + 3]))
            k += 4
        total = (a + b) + (c + d)
        while k < stop:
            total += value[k]
            size += abs(value[k])
            k += 1
        if abs(total) >= 1e-2 * size and not np.isinf(size):
            out[w] = total
            continue
        total, lost = 0.0, 0.0
        for k in range(low[w], stop):
            total, lost = _added(value[k], total, lost)
        out[w] = total if np.isinf(total) else total + lost


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
