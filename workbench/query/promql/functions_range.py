"""Functions of range vectors: from windows to one number each.

A function here takes the whole range vector (and its other arguments, one number per step), prepares what all windows
share, and returns a function from window borders, blocks of shape (series, steps), to values. `RANGE` says how many
samples a window needs to give a value.

References
----------
Prometheus documentation, "Query functions"; its engine's extrapolation of `rate`, `increase` and `delta`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql.functions_fast import fast
from workbench.query.promql.functions_native import started
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Bools, Floats, Ints, Scalar, Vector
from workbench.query.promql.windows import added, blocks, compensated, expand, reduce, totals

__all__ = ["RANGE", "apply_range", "extension", "quantile_of", "with_start"]

Block = Callable[[Ints, Ints], Floats]


class RangeFunction(NamedTuple):
    """How to make one: `samples` is the fewest a window needs, `expands` whether it looks at every sample of each."""

    make: Callable[..., Block]
    samples: int = 1
    expands: bool = False


def apply_range(name: str, ranges: Ranges, params: list[Scalar]) -> Vector:
    """Return the instant vector a range function gives."""
    keeps_name = name in ("last_over_time", "first_over_time")
    dropped = ranges.drop_name if keeps_name else np.ones(ranges.labels.n, bool)
    if (done := fast(name, ranges, [p.values for p in params])) is not None:
        return Vector(ranges.labels, done[0], done[1], dropped)
    function = RANGE[name]
    counts = ranges.high - ranges.low
    present: Bools = counts >= function.samples
    if name in ("rate", "increase") and (early := with_start(ranges)) is not None:
        present |= (counts > 0) & early
    values = np.full(counts.shape, np.nan)
    block = function.make(ranges, *[p.values for p in params])
    weights = np.full(len(counts), counts.shape[1], np.int64)
    if function.expands:
        weights = np.maximum(weights, counts.sum(axis=1))
    with np.errstate(all="ignore"):
        for rows in blocks(weights):
            keep = present[rows]
            low, high = np.where(keep, ranges.low[rows], 0), np.where(keep, ranges.high[rows], 0)
            if keep.any():
                values[rows] = block(low, high)
    return Vector(ranges.labels, np.where(present, values, np.nan), present, dropped)


def _last(high: Ints) -> Ints:
    return np.maximum(high - 1, 0)


def _fallen(ranges: Ranges) -> Bools:
    """Return, per sample but the first, whether a counter was reset before it."""
    value = ranges.value
    found: Bools = np.asarray(value[1:] < value[:-1])
    if ranges.start is not None and len(value):
        at = np.arange(1, len(value), dtype=np.int64)
        found |= started(ranges, at - 1, at)
    return found


def with_start(ranges: Ranges) -> Bools | None:
    """Return in which windows the first sample's counter began, shape (n, t), or None when no start is known.

    There it was zero: nothing has to be extrapolated to the left, and one sample will do.
    """
    if ranges.start is None or not len(ranges.time):
        return None
    low = np.where(ranges.high > ranges.low, ranges.low, 0)
    start = ranges.start[low]
    inside = (start != 0) & (start > ranges.begin) & (start < ranges.time[low])
    return np.asarray((ranges.high > ranges.low) & inside)


def extension(
    ranges: Ranges, windows: tuple[Ints, Ints, Ints], first: Floats, result: Floats, *, counter: bool, begun: Bools
) -> Floats:
    """Return by what the difference of the last and first samples grows when it is extrapolated to the whole window.

    To an end of the window where the gap is below 1.1 times the mean distance of the samples, else by half of that; a
    counter never beyond the time when it was zero.

    Parameters
    ----------
    windows : low, high and step of each window
    first, result : first sample and difference of each window, of histograms their counts
    begun : windows inside which the counter began at zero
    """
    low, high, step = windows
    last = high - 1
    time = ranges.time
    to_start = (time[low] - ranges.begin[step]) / 1e9
    to_end = (ranges.end[step] - time[last]) / 1e9
    sampled = (time[last] - time[low]) / 1e9
    with np.errstate(all="ignore"):
        average = np.where(last > low, sampled / (last - low), 0.0)
        threshold = average * 1.1
        to_zero = sampled * (first / result)
        zero = counter & (result > 0) & (first >= 0)
        if ranges.closed:  # as Prometheus 2 has it: the zero crossing first, then the threshold
            to_start = np.where(zero & (to_zero < to_start), to_zero, to_start)
            to_start = np.where(to_start < threshold, to_start, average / 2)
        else:
            to_start = np.where(to_start >= threshold, average / 2, to_start)
            to_start = np.where(zero & (to_zero < to_start), to_zero, to_start)
        to_end = np.where(to_end >= threshold, average / 2, to_end)
        if begun.any() and ranges.start is not None:
            to_start = np.where(begun, 0.0, to_start)
            sampled = np.where(begun, (time[last] - ranges.start[low]) / 1e9, sampled)
        return np.asarray(np.where(sampled == 0, 1.0, (sampled + to_start + to_end) / sampled))


def _extrapolated(ranges: Ranges, *, counter: bool, rate: bool) -> Block:
    value = ranges.value
    resets = ranges.previous_differs(_fallen(ranges))
    lost = value[np.flatnonzero(np.diff(resets, prepend=0)) - 1]
    begun = with_start(ranges) if counter else None

    def block(low: Ints, high: Ints) -> Floats:
        last = _last(high)
        result = value[last] - value[low]
        early = np.zeros(low.shape, bool)
        if counter:
            result += reduce(np.add, lost, resets[low], resets[last], 0.0)
        if begun is not None:
            start = ranges.start[low] if ranges.start is not None else np.zeros(low.shape, np.int64)
            early = (high > low) & (start != 0) & (start > ranges.begin) & (start < ranges.time[low])
        step = np.broadcast_to(np.arange(low.shape[1]), low.shape)
        factor = extension(ranges, (low, high, step), value[low], result, counter=counter, begun=early)
        result = np.where(early, result + value[low], result)
        return np.asarray(result * (factor / ranges.seconds if rate else factor))

    return block


def _instant(ranges: Ranges, *, counter: bool) -> Block:
    value, time = ranges.value, ranges.time

    def block(low: Ints, high: Ints) -> Floats:
        last = _last(high)
        before = _last(last)
        change = value[last] - value[before]
        if not counter:
            return np.asarray(change)
        anew = (value[last] < value[before]) | started(ranges, before, last)
        change = np.where(anew, value[last], change)
        return np.asarray(change / ((time[last] - time[before]) / 1e9))

    return block


def _counted(ranges: Ranges, differs: Bools) -> Block:
    running = ranges.previous_differs(differs)
    return lambda low, high: (running[_last(high)] - running[low]).astype(np.float64)


def _changes(ranges: Ranges) -> Block:
    now, before = ranges.value[1:], ranges.value[:-1]
    return _counted(ranges, (now != before) & ~(np.isnan(now) & np.isnan(before)))


def _resets(ranges: Ranges) -> Block:
    return _counted(ranges, ranges.value[1:] < ranges.value[:-1])


def _sum(ranges: Ranges) -> Block:
    return lambda low, high: totals(ranges.value, low, high)


def _average(ranges: Ranges) -> Block:
    def block(low: Ints, high: Ints) -> Floats:
        return _means(ranges.value, low, high)

    return block


def _means(value: Floats, low: Ints, high: Ints) -> Floats:
    """Return window means; where the sum overflows but no term is infinite, the terms are divided first."""
    counts = high - low
    means = totals(value, low, high) / counts
    huge = ~np.isfinite(means) & (counts > 0)
    if huge.any():
        largest = reduce(np.fmax, np.abs(value), low[huge], high[huge], 0.0)
        finite = np.isfinite(largest) & ~np.isnan(reduce(np.add, np.sign(value), low[huge], high[huge], 0.0))
        scaled = compensated(value / 2.0**60, low[huge], high[huge]) / counts[huge] * 2.0**60
        means[huge] = np.where(finite, scaled, means[huge])
    return means


def _extreme(function: np.ufunc) -> Callable[[Ranges], Block]:
    return lambda ranges: lambda low, high: reduce(function, ranges.value, low, high, np.nan)


def _positions(low: Ints, high: Ints) -> Iterator[tuple[Bools, Ints]]:
    """Yield, place after place in all windows at once, which windows have a sample there, and its index."""
    for k in range(int((high - low).max(initial=0))):
        live = low + k < high
        yield live, np.where(live, low + k, 0)


def _variance(ranges: Ranges) -> Block:
    """Return variances by running means and squares, compensated, in the order Prometheus has them."""

    def block(low: Ints, high: Ints) -> Floats:
        mean, lost, squares, gone = (np.zeros(low.shape) for _ in range(4))
        for k, (live, at) in enumerate(_positions(low, high)):
            x = ranges.value[at]
            away = x - (mean + lost)
            new, carry = added(away / (k + 1), mean, lost)
            mean, lost = np.where(live, new, mean), np.where(live, carry, lost)
            new, carry = added(away * (x - (mean + lost)), squares, gone)
            squares, gone = np.where(live, new, squares), np.where(live, carry, gone)
        return np.asarray((squares + gone) / (high - low))

    return block


def _deviation(ranges: Ranges) -> Block:
    variance = _variance(ranges)
    return lambda low, high: np.sqrt(variance(low, high))


def _regression(ranges: Ranges, low: Ints, high: Ints, origin: Ints) -> tuple[Floats, Floats]:
    """Return slope (per second) and value at `origin` of the least-squares line through every window."""
    n = (high - low).astype(np.float64)
    sums = [(np.zeros(low.shape), np.zeros(low.shape)) for _ in range(4)]
    first = ranges.value[low]
    flat = np.ones(low.shape, bool)
    for live, at in _positions(low, high):
        x, y = (ranges.time[at] - origin) / 1e9, ranges.value[at]
        flat &= ~live | (y == first)
        for i, term in enumerate((x, y, x * y, x * x)):
            new, carry = added(term, *sums[i])
            sums[i] = (np.where(live, new, sums[i][0]), np.where(live, carry, sums[i][1]))
    sx, sy, sxy, sxx = (total + lost for total, lost in sums)
    slope = (sxy - sx * sy / n) / (sxx - sx * sx / n)
    level = np.where(np.isinf(first), np.nan, first)
    return np.where(flat, level * 0.0, slope), np.where(flat, level, sy / n - slope * sx / n)


def _deriv(ranges: Ranges) -> Block:
    return lambda low, high: _regression(ranges, low, high, ranges.time[low])[0]


def _predict_linear(ranges: Ranges, seconds: Floats) -> Block:
    def block(low: Ints, high: Ints) -> Floats:
        slope, now = _regression(ranges, low, high, ranges.steps)
        return slope * seconds + now

    return block


def quantile_of(values: Floats, window: Ints, counts: Ints, q: Floats) -> Floats:
    """Return the q-quantile of every window by linear interpolation; NaN sorts first, as in Prometheus.

    Parameters
    ----------
    values, window : ndarray, shape (k,)
        Values and the number of the window each belongs to.
    counts : ndarray of int64, shape (w,)
        Values per window.
    q : ndarray of float64, shape (w,)
    """
    order = np.lexsort((values, ~np.isnan(values), window))
    ranked = np.append(values[order], np.nan)
    starts = np.cumsum(counts) - counts
    rank = np.clip(q, 0, 1) * (counts - 1)
    rank = np.where(np.isnan(rank) | (counts == 0), 0, rank)
    below = np.maximum(np.floor(rank), 0).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(counts - 1, 0))
    weight = rank - np.floor(rank)
    out = ranked[starts + below] * (1 - weight) + ranked[starts + above] * weight
    out = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, out))
    return np.asarray(np.where((counts == 0) | np.isnan(q), np.nan, out))


def _quantile(ranges: Ranges, q: Floats) -> Block:
    def block(low: Ints, high: Ints) -> Floats:
        index, window = expand(low, high)
        wanted = np.broadcast_to(q, low.shape).ravel()
        return quantile_of(ranges.value[index], window, (high - low).ravel(), wanted).reshape(low.shape)

    return block


def _median_deviation(ranges: Ranges) -> Block:
    def block(low: Ints, high: Ints) -> Floats:
        index, window = expand(low, high)
        counts = (high - low).ravel()
        half = np.full(counts.size, 0.5)
        median = quantile_of(ranges.value[index], window, counts, half)
        away = np.abs(ranges.value[index] - median[window])
        unknown = np.bincount(window, np.isnan(ranges.value[index]), counts.size) > 0
        return np.where(unknown, np.nan, quantile_of(away, window, counts, half)).reshape(low.shape)

    return block


def _smoothing(ranges: Ranges, factor: Floats, trend: Floats) -> Block:
    for what, given in (("smoothing factor", factor), ("trend factor", trend)):
        if not ((given > 0) & (given < 1)).all():
            bad = given[~((given > 0) & (given < 1))][0]
            raise QueryError(f"invalid {what}. Expected: 0 < sf < 1, got: {bad:f}")

    def block(low: Ints, high: Ints) -> Floats:
        before, level = np.zeros(low.shape), ranges.value[low]
        slope = ranges.value[np.minimum(low + 1, len(ranges.value) - 1)] - level
        for k in range(1, int((high - low).max())):
            live = low + k < high
            x = ranges.value[np.where(live, low + k, 0)]
            if k > 1:
                slope = np.where(live, trend * (level - before) + (1 - trend) * slope, slope)
            new = factor * x + (1 - factor) * (level + slope)
            before, level = np.where(live, level, before), np.where(live, new, level)
        return np.asarray(level)

    return block


def _when_extreme(function: np.ufunc) -> Callable[[Ranges], Block]:
    def make(ranges: Ranges) -> Block:
        def block(low: Ints, high: Ints) -> Floats:
            index, window = expand(low, high)
            extreme = reduce(function, ranges.value, low, high, np.nan).ravel()
            x = ranges.value[index]
            hit = (x == extreme[window]) | (np.isnan(x) & np.isnan(extreme[window]))
            at = np.zeros(low.size, np.int64)
            at[window[hit]] = index[hit]  # of several the last one stays
            return np.asarray(ranges.time[at].reshape(low.shape) / 1e9)

        return block

    return make


RANGE: Final[dict[str, RangeFunction]] = {
    "rate": RangeFunction(lambda r: _extrapolated(r, counter=True, rate=True), 2),
    "increase": RangeFunction(lambda r: _extrapolated(r, counter=True, rate=False), 2),
    "delta": RangeFunction(lambda r: _extrapolated(r, counter=False, rate=False), 2),
    "irate": RangeFunction(lambda r: _instant(r, counter=True), 2),
    "idelta": RangeFunction(lambda r: _instant(r, counter=False), 2),
    "deriv": RangeFunction(_deriv, 2, True),
    "predict_linear": RangeFunction(_predict_linear, 2, True),
    "changes": RangeFunction(_changes),
    "resets": RangeFunction(_resets),
    "sum_over_time": RangeFunction(_sum),
    "avg_over_time": RangeFunction(_average),
    "min_over_time": RangeFunction(_extreme(np.fmin)),
    "max_over_time": RangeFunction(_extreme(np.fmax)),
    "count_over_time": RangeFunction(lambda r: lambda low, high: (high - low).astype(np.float64)),
    "last_over_time": RangeFunction(lambda r: lambda low, high: r.value[_last(high)]),
    "first_over_time": RangeFunction(lambda r: lambda low, high: r.value[low]),
    "present_over_time": RangeFunction(lambda r: lambda low, high: np.ones(low.shape)),
    "stddev_over_time": RangeFunction(_deviation, 1, True),
    "stdvar_over_time": RangeFunction(_variance, 1, True),
    "quantile_over_time": RangeFunction(lambda r, q: _quantile(r, q), 1, True),
    "mad_over_time": RangeFunction(_median_deviation, 1, True),
    "double_exponential_smoothing": RangeFunction(_smoothing, 2, True),
    "ts_of_last_over_time": RangeFunction(lambda r: lambda low, high: r.time[_last(high)] / 1e9),
    "ts_of_first_over_time": RangeFunction(lambda r: lambda low, high: r.time[low] / 1e9),
    "ts_of_min_over_time": RangeFunction(_when_extreme(np.fmin), 1, True),
    "ts_of_max_over_time": RangeFunction(_when_extreme(np.fmax), 1, True),
}
"""Functions of range vectors by name."""
