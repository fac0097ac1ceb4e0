"""`anchored` and `smoothed`: the value of a series at the very ends of a window, and rates between them.

With `anchored` the value at an end is that of the last sample at or before it, with `smoothed` it lies on the line
between the samples around it; either may look at samples outside the window, as far as the lookback.

References
----------
Prometheus proposal PROM-52; Prometheus documentation, "Querying basics".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from workbench.query.promql.functions_native import Outcome
from workbench.query.promql.histogram_math import Terms, combine, resets, scaled, with_hint
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Bools, Floats, Ints, Vector
from workbench.query.promql.windows import expand, reduce
from workbench.signals.histograms import GAUGE, Histograms, concat_histograms

__all__ = ["ANCHORED", "SMOOTHED", "Ends", "anchors", "ends", "histogram_rate", "rate", "smoothed_vector"]

ANCHORED: Final = ("changes", "delta", "increase", "rate", "resets")
"""Functions that take an anchored range."""

SMOOTHED: Final = ("delta", "increase", "rate")
"""Functions that take a smoothed range."""


@dataclass(frozen=True, eq=False)
class Ends:
    """First and last sample that the ends of every window rest on, shape (n, t), and where there are any."""

    first: Ints
    last: Ints
    present: Bools


def anchors(ranges: Ranges) -> Ends:
    """Return the last sample at or before every window's begin, else the first one, and the last one inside."""
    low, high = ranges.wide
    some = high > low
    last = np.maximum(high - 1, 0)
    first = np.clip(ranges.low - 1, low, np.maximum(last, low))
    first = np.where(some, first, 0)
    return Ends(first, last, some & (ranges.high > ranges.low))


def ends(ranges: Ranges) -> Ends:
    """Return the samples that the values at both ends of every window rest on."""
    found = anchors(ranges)
    if ranges.mode == "anchored" or not len(ranges.time):
        return found
    low, high = ranges.wide
    # The first sample at or after the end, else the last there is.
    at_end = ranges.high - ((ranges.high > low) & (ranges.time[np.maximum(ranges.high - 1, 0)] == ranges.end))
    last = np.clip(np.minimum(at_end, high - 1), 0, None)
    some = (high > low) & (ranges.time[last] > ranges.begin) & (ranges.time[found.first] <= ranges.end)
    return Ends(np.minimum(found.first, last), last, some)


def _interpolated(ranges: Ranges, a: Ints, b: Ints, at: Ints, *, counter: bool) -> Floats:
    before, after = ranges.value[a], ranges.value[b]
    if counter:
        before = np.where(after < before, 0.0, before)
    share = (at - ranges.time[a]) / np.maximum(ranges.time[b] - ranges.time[a], 1)
    return np.asarray(before + (after - before) * share)


def rate(ranges: Ranges, *, counter: bool, per_second: bool) -> tuple[Floats, Bools]:
    """Return the difference between the values at the ends of every window, resets made up for."""
    found = ends(ranges)
    shape = found.first.shape
    if not len(ranges.time):
        return np.full(shape, np.nan), np.zeros(shape, bool)
    first, last = np.where(found.present, found.first, 0), np.where(found.present, found.last, 0)
    begin, end = np.broadcast_to(ranges.begin, shape), np.broadcast_to(ranges.end, shape)
    left, right = ranges.value[first], ranges.value[last]
    top = len(ranges.time) - 1
    if ranges.mode == "smoothed":
        cut_left = ranges.time[first] < begin
        left = np.where(
            cut_left, _interpolated(ranges, first, np.minimum(first + 1, top), begin, counter=counter), left
        )
        cut_right = (ranges.time[last] > end) & (last > ranges.wide[0])
        right = np.where(cut_right, _interpolated(ranges, np.maximum(last - 1, 0), last, end, counter=counter), right)
    result = right - left
    if counter:
        result = result + _made_up(ranges, first, last, left, right, begin, end)
    if per_second:
        result = result / ranges.seconds
    return np.where(found.present, result, np.nan), found.present


def _made_up(ranges: Ranges, first: Ints, last: Ints, left: Floats, right: Floats, begin: Ints, end: Ints) -> Floats:
    """Return what was lost by resets between the value at the begin, the samples inside, and the value at the end."""
    inner = first + (ranges.time[first] <= begin)
    stop = last + 1 - (ranges.time[last] >= end)  # behind the last sample strictly inside
    some = stop > inner
    fallen = ranges.previous_differs(ranges.value[1:] < ranges.value[:-1])
    lost = ranges.value[np.flatnonzero(np.diff(fallen, prepend=0)) - 1]
    low, high = np.where(some, inner, 0), np.where(some, stop - 1, 0)
    out = reduce(np.add, lost, fallen[low], fallen[high], 0.0)
    entry = np.where(some, ranges.value[low], right)
    out = out + np.where(entry < left, left, 0.0)
    return np.asarray(out + np.where(some & (right < ranges.value[high]), ranges.value[high], 0.0))


@dataclass(frozen=True, eq=False)
class _Points:
    """Histograms at given instants, shape (c,), and which could not be had or had other custom bounds."""

    pool: Histograms
    mixed: Bools
    reconciled: Bools


def _at(ranges: Ranges, a: Ints, b: Ints, at: Ints, between: Bools, counter: Bools) -> _Points:
    """Return the histograms at instants: sample `a`, or where `between` on the line from `a` to `b`."""
    pool, row = ranges.pool, ranges.row
    if pool is None or row is None:
        raise TypeError("the range vector holds no histogram.")
    share = np.where(between, (at - ranges.time[a]) / np.maximum(ranges.time[b] - ranges.time[a], 1), 0.0)
    between = between & (share > 0)
    apart = between & (pool.custom[row[a]] != pool.custom[row[b]])
    anew = np.zeros(len(a), bool)
    anew[between] = resets(pool, row[b[between]], row[a[between]]) & counter[between]
    weights = np.stack([np.where(anew, 0.0, 1.0 - share), share], axis=1).ravel()
    rows = np.stack([row[np.where(anew, b, a)], row[np.where(between, b, a)]], axis=1).ravel()
    out = combine(pool, Terms(rows, np.repeat(np.arange(len(a)), 2), weights, len(a)))
    hint = np.where(between, pool.hint[row[b]], pool.hint[row[a]])
    gauge = between & ((pool.hint[row[a]] == GAUGE) | (pool.hint[row[b]] == GAUGE))
    hint = np.where(gauge, GAUGE, hint)
    return _Points(replace(out.pool, hint=hint.astype(np.int8)), out.mixed | apart, out.reconciled)


def histogram_rate(
    ranges: Ranges, cells: tuple[Ints, Ints], found: Ends, *, counter: bool, per_second: bool
) -> Outcome:
    """Return the difference between the histograms at the ends of windows, at the (series, step) of `cells`."""
    pool, row = ranges.pool, ranges.row
    if pool is None or row is None:
        raise TypeError("the range vector holds no histogram.")
    first, last = found.first[cells], found.last[cells]
    begin, end = ranges.begin[cells[1]], ranges.end[cells[1]]
    n = len(first)
    top = len(row) - 1
    custom, gauge = pool.custom[row], pool.hint[row] == GAUGE
    index, window = expand(first, last + 1)
    mixed, seen_gauge = np.zeros(n, bool), np.zeros(n, bool)
    mixed[window[custom[index] != custom[first[window]]]] = True
    seen_gauge[window[gauge[index]]] = True
    smoothed = ranges.mode == "smoothed"
    counters = np.full(n, counter)
    cut_left = smoothed & (ranges.time[first] < begin) & ~mixed
    cut_right = smoothed & (ranges.time[last] > end) & (last > ranges.wide[0][cells]) & ~mixed
    left = _at(ranges, first, np.minimum(first + 1, top), begin, cut_left, counters)
    before = np.where(cut_right, np.maximum(last - 1, 0), last)
    right = _at(ranges, before, last, end, cut_right, counters)
    both = concat_histograms([pool, left.pool, right.pool])
    ends_at = len(pool) + np.arange(n), len(pool) + n + np.arange(n)
    rows, out, weights = [ends_at[1], ends_at[0]], [np.arange(n)] * 2, [np.ones(n), -np.ones(n)]
    if counter:
        added, owner = _lost(ranges, both, first, last, begin, smoothed, ends_at)
        rows, out, weights = [*rows, added], [*out, owner], [*weights, np.ones(len(added))]
    where = np.concatenate(out).astype(np.int64)
    order = np.argsort(where, kind="stable")
    done = combine(both, Terms(np.concatenate(rows)[order], where[order], np.concatenate(weights)[order], n))
    result = with_hint(done.pool, GAUGE)
    if per_second:
        result = scaled(result, np.full(n, ranges.seconds), divide=True)
    bad = mixed | left.mixed | right.mixed | done.mixed
    not_gauge = (left.pool.hint != GAUGE) | (right.pool.hint != GAUGE)
    no = np.zeros(n, bool)
    return Outcome(
        result, bad, no, (done.reconciled | left.reconciled | right.reconciled) & ~bad, no, no,
        seen_gauge & counter & ~mixed, no if counter else not_gauge & ~bad,
    )  # fmt: skip


def _lost(
    ranges: Ranges, both: Histograms, first: Ints, last: Ints, begin: Ints, smoothed: bool, ends_at: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """Return the histograms that were lost by resets inside windows, and the window of each.

    The walk goes from the histogram at the begin over the samples inside to the one at the end. A reset that the begin
    was interpolated over is in it already.
    """
    row = ranges.row
    if row is None:
        raise TypeError("the range vector holds no histogram.")
    n = len(first)
    top = len(row) - 1
    second = np.minimum(first + 1, top)
    spanned = np.zeros(n, bool)
    check = np.flatnonzero(smoothed & (ranges.time[first] < begin) & (last > first))
    spanned[check] = resets(both, row[second[check]], row[first[check]])
    skip = first + 1 + spanned
    index, window = expand(skip, np.maximum(last, skip))
    chain_row = np.concatenate([np.where(spanned, row[second], ends_at[0]), row[index], ends_at[1]])
    chain_window = np.concatenate([np.arange(n), window, np.arange(n)])
    chain_place = np.concatenate([np.full(n, -1), index, np.full(n, np.iinfo(np.int64).max)])
    order = np.lexsort((chain_place, chain_window))
    chain_row, chain_window = chain_row[order], chain_window[order]
    at = np.flatnonzero(chain_window[1:] == chain_window[:-1]) + 1
    at = at[~(skip > last)[chain_window[at]]]
    hit = at[resets(both, chain_row[at], chain_row[at - 1])]
    return chain_row[hit - 1], chain_window[hit]


def smoothed_vector(ranges: Ranges, moments: Ints) -> tuple[Vector, Bools, Bools]:
    """Return the value of every series at instants, on the line between the samples around each.

    `ranges` holds the samples, its windows those around every moment as far as the lookback. Behind the last sample its
    value goes on; before the first there is none. Also returned, shape (n, t): where numbers and histograms met, and
    where exponential and custom buckets did.
    """
    low, high = ranges.low, ranges.high
    shape = low.shape
    blank = np.zeros(shape, bool)
    if not len(ranges.time):
        return Vector(ranges.labels, np.full(shape, np.nan), blank, np.zeros(ranges.labels.n, bool)), blank, blank
    from workbench.query.promql.windows import positions

    behind = positions(ranges.time, ranges.offsets, moments)
    before = np.maximum(behind - 1, 0)
    some = behind > low
    after = np.where(high > behind, np.minimum(behind, len(ranges.time) - 1), before)
    at = np.broadcast_to(moments, shape)
    between = some & (after > before) & (ranges.time[before] < at)
    row = ranges.row
    if row is None:
        value = np.where(between, _interpolated(ranges, before, after, at, counter=False), ranges.value[before])
        return Vector.build(ranges.labels, np.where(some, value, np.nan), some), blank, blank
    running = np.concatenate([[0], np.cumsum(row >= 0)])
    inside = running[high] - running[low]
    mixed = (inside > 0) & (inside < high - low)
    some &= ~mixed
    number = some & (inside == 0)
    value = np.where(between, _interpolated(ranges, before, after, at, counter=False), ranges.value[before])
    out = Vector.build(ranges.labels, np.where(number, value, np.nan), number)
    cells = np.nonzero(some & ~number)
    counters = ranges.pool.hint[row[after[cells]]] != GAUGE if ranges.pool is not None else np.zeros(0, bool)
    points = _at(ranges, before[cells], after[cells], at[cells], between[cells], counters)
    bad = blank.copy()
    bad[cells] = points.mixed
    good = np.flatnonzero(~points.mixed)
    out = out.with_cells(cells[0][good], cells[1][good], points.pool.take(good))
    return out, mixed, bad
