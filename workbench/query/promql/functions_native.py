"""Functions of range vectors whose samples are native histograms.

Each takes the histogram samples of a range vector and the windows asked for, given as (first, behind the last) sample,
shape (c,), and gives one histogram per window, with what the reader should know about them.

References
----------
Prometheus documentation, "Query functions"; "Native Histograms [specification]", PromQL section.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.query.promql.histogram_math import (
    Terms,
    combine,
    equal,
    folded_hints,
    resets,
    scaled,
    with_hint,
)
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Bools, Floats, Ints
from workbench.query.promql.windows import blocks, expand
from workbench.signals.histograms import CUSTOM, GAUGE, Histograms, concat_histograms

__all__ = ["Outcome", "changed", "difference", "increase", "mean", "reset_before", "started", "total", "total_of"]

_BLOCK = 1 << 21
"""Buckets worked on at once."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """One histogram per window and flags per window; a histogram of a `mixed` window means nothing.

    Attributes
    ----------
    mixed : exponential and custom buckets met
    added, subtracted, aggregated : custom bounds that differ were reconciled
    collided : a counter reset and none were claimed for the same sum
    not_counter, not_gauge : samples of the wrong kind for the function
    """

    pool: Histograms
    mixed: Bools
    added: Bools
    subtracted: Bools
    aggregated: Bools
    collided: Bools
    not_counter: Bools
    not_gauge: Bools


def _outcome(pool: Histograms, **flags: Bools) -> Outcome:
    names = ("mixed", "added", "subtracted", "aggregated", "collided", "not_counter", "not_gauge")
    return Outcome(pool, **{name: flags.get(name, np.zeros(len(pool), bool)) for name in names})


def _joined(parts: list[Outcome]) -> Outcome:
    if len(parts) == 1:
        return parts[0]
    names = ("mixed", "added", "subtracted", "aggregated", "collided", "not_counter", "not_gauge")
    flags = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Outcome(concat_histograms([part.pool for part in parts]), **flags)


def _pool(ranges: Ranges) -> tuple[Histograms, Ints]:
    if ranges.pool is None or ranges.row is None:
        raise TypeError("the range vector holds no histogram.")
    return ranges.pool, ranges.row


def _aggregated(ranges: Ranges, low: Ints, high: Ints, *, average: bool) -> Outcome:
    pool, row = _pool(ranges)
    sizes = np.concatenate([[0], np.cumsum(np.diff(pool.offsets)[row] + 1)])
    parts = []
    for piece in blocks(sizes[high] - sizes[low], _BLOCK):
        index, window = expand(low[piece], high[piece])
        terms = Terms(row[index], window, np.ones(len(index)), len(low[piece]))
        parts.append(total_of(pool, terms, average=average))
    return _joined(parts)


def total_of(pool: Histograms, terms: Terms, *, average: bool) -> Outcome:
    """Return sums or means of histograms, each term counted once, with the hints of their sums."""
    done = combine(pool, terms)
    hint, collided = folded_hints(pool, terms)
    out = replace(done.pool, hint=hint)
    if average:
        counts = np.bincount(terms.out, minlength=terms.n).astype(np.float64)
        out = _mean(pool, terms, out, counts)
    return _outcome(out, mixed=done.mixed, aggregated=done.reconciled, collided=collided)


def _mean(pool: Histograms, terms: Terms, summed: Histograms, counts: Floats) -> Histograms:
    """Return the sums divided by their counts; where a sum overflows the terms are divided first."""
    huge = np.isinf(summed.sum) | np.isinf(summed.count) | np.isinf(summed.zero_count)
    huge[summed.owner()[np.isinf(summed.bucket)]] = True
    out = scaled(summed, counts, divide=True)
    if not huge.any():
        return out
    careful = combine(pool, terms._replace(weight=1.0 / counts[terms.out])).pool
    both = concat_histograms([out, replace(careful, hint=summed.hint)])
    return both.take(np.where(huge, len(out), 0) + np.arange(len(out), dtype=np.int64))


def total(ranges: Ranges, low: Ints, high: Ints) -> Outcome:
    """Return the sum of the histograms of every window."""
    return _aggregated(ranges, low, high, average=False)


def mean(ranges: Ranges, low: Ints, high: Ints) -> Outcome:
    """Return the mean of the histograms of every window."""
    return _aggregated(ranges, low, high, average=True)


def reset_before(ranges: Ranges) -> Bools:
    """Return, per sample, whether the counter was reset since the sample before it in the same series."""
    pool, row = _pool(ranges)
    found = np.zeros(len(row), bool)
    if len(row) > 1:
        inner = np.ones(len(row), bool)
        firsts = ranges.offsets[:-1]
        inner[firsts[firsts < len(row)]] = False
        at = np.flatnonzero(inner)
        found[at] = resets(pool, row[at], row[at - 1])
        if ranges.start is not None:
            found[at] |= started(ranges, at - 1, at)
    return found


def started(ranges: Ranges, before: Ints, now: Ints) -> Bools:
    """Return, for pairs of samples, whether the later's start timestamp says that the counter began between them.

    A start at the earlier sample's own time is one only if that sample knew its start: so delta series reset, cumulative
    ones whose start nobody knew do not. A start at or after the sample itself says nothing.
    """
    if ranges.start is None:
        return np.zeros(now.shape, bool)
    start, earlier = ranges.start[now], ranges.start[before]
    time, past = ranges.time[now], ranges.time[before]
    known = (start != 0) & (start < time)
    at_sample = (start == past) & (earlier != 0) & (earlier < past)
    return np.asarray(known & ((start > past) | at_sample))


def changed(ranges: Ranges) -> Bools:
    """Return, per sample, whether it differs from the one before it in the same series."""
    pool, row = _pool(ranges)
    found = np.zeros(len(row), bool)
    if len(row) > 1:
        at = np.arange(1, len(row), dtype=np.int64)
        found[at] = ~equal(pool.compact(), row[at], row[at - 1])
        firsts = ranges.offsets[:-1]
        found[firsts[firsts < len(row)]] = False
    return found


def increase(ranges: Ranges, low: Ints, high: Ints, reset: Bools, *, counter: bool, from_zero: Bools) -> Outcome:
    """Return last minus first of every window, resets made up for, not extrapolated.

    Windows hold two samples or more, or one where `from_zero` says that the counter began at zero inside the window.
    """
    pool, row = _pool(ranges)
    last = high - 1
    # What came before a reset at the second sample is of no concern: the first sample is not looked at.
    skip = counter & (last > low) & reset[np.minimum(low + 1, len(reset) - 1)]
    first = np.where(skip, low + 1, low)
    custom = pool.custom[row]
    mixed = custom[last] != custom[first]
    ceiling = np.minimum(pool.schema[row[last]], pool.schema[row[first]]).astype(np.int64)
    gauge = pool.hint[row] == GAUGE
    if counter:
        inside = _counts(custom, low + 1, last)
        mixed |= (inside > 0) & (inside < last - low - 1) | ((last > low + 1) & ((inside > 0) != custom[last]))
        ceiling = np.minimum(ceiling, _lowest(pool.schema[row].astype(np.int64), low + 1, last))
    added = _Resets(reset, low, last, skip) if counter else None
    n = len(low)
    out = [np.arange(n), np.arange(n), np.flatnonzero(from_zero)]
    rows, weights = [row[last], row[first], row[low[from_zero]]], [np.ones(n), np.where(skip, 0.0, -1.0)]
    weights.append(np.ones(int(from_zero.sum())))
    if added is not None:
        out.append(added.window)
        rows.append(row[added.sample])
        weights.append(np.ones(len(added.window)))
    where = np.concatenate(out).astype(np.int64)
    order = np.argsort(where, kind="stable")
    terms = Terms(np.concatenate(rows)[order], where[order], np.concatenate(weights)[order], n)
    done = combine(pool, terms, ceiling=np.where(ceiling == CUSTOM, 127, ceiling))
    sub = pool.layout[row[last]] != pool.layout[row[first]]
    plus = np.zeros(n, bool)
    if added is not None:
        plus[added.window[pool.layout[row[added.sample]] != pool.layout[row[last[added.window]]]]] = True
    bad = mixed | done.mixed
    return _outcome(
        with_hint(done.pool, GAUGE), mixed=bad, subtracted=sub & ~bad, added=plus & ~bad,
        not_counter=_counts(gauge, low, high) > 0 if counter else np.zeros(n, bool),
        not_gauge=np.zeros(n, bool) if counter else ~(gauge[low] & gauge[last]),
    )  # fmt: skip


class _Resets:
    """Samples before a reset inside windows: their number, and the window each is added to."""

    def __init__(self, reset: Bools, low: Ints, last: Ints, skip: Bools) -> None:
        where = np.flatnonzero(reset)
        begin = np.searchsorted(where, low + 1 + skip, side="left")
        stop = np.maximum(np.searchsorted(where, last, side="right"), begin)
        index, self.window = expand(begin.astype(np.int64), stop.astype(np.int64))
        self.sample: Ints = where[index] - 1


def _counts(flags: Bools, low: Ints, high: Ints) -> Ints:
    running = np.concatenate([[0], np.cumsum(flags)]).astype(np.int64)
    return np.asarray(running[np.maximum(high, low)] - running[low])


def _lowest(values: Ints, low: Ints, high: Ints) -> Ints:
    index, window = expand(low, np.maximum(high, low))
    out = np.full(len(low), 127, np.int64)
    np.minimum.at(out, window, values[index])
    return out


def difference(ranges: Ranges, before: Ints, last: Ints, *, counter: bool) -> Outcome:
    """Return the last sample minus the one before it; with `counter` the last alone after a reset."""
    pool, row = _pool(ranges)
    a, b = row[before], row[last]
    n = len(a)
    whole = np.zeros(n, bool)
    if counter:
        whole = resets(pool, b, a) | started(ranges, before, last)
    weights = np.stack([np.ones(n), np.where(whole, 0.0, -1.0)], axis=1).ravel()
    rows = np.stack([b, np.where(whole, b, a)], axis=1).ravel()
    done = combine(pool, Terms(rows, np.repeat(np.arange(n), 2), weights, n))
    gauges = (pool.hint[a] == GAUGE).astype(int) + (pool.hint[b] == GAUGE)
    return _outcome(
        with_hint(done.pool, GAUGE), mixed=done.mixed, subtracted=done.reconciled,
        not_counter=(gauges > 0) & counter, not_gauge=(gauges < 2) & (not counter),
    )  # fmt: skip
