"""Arithmetic of native histograms, many results at once.

`combine` is the one operation everything else rests on: each result is a weighted sum of any number of histograms of a
pool. Sums, differences, rates, averages and the search for counter resets are calls of it.

What has to be made equal first: the schema (the lowest of a result's terms), the zero bucket (widened until it ends at
no populated bucket of any term), custom bounds (those all terms have).

References
----------
Prometheus, "Native Histograms [specification]", PromQL section; `model/histogram/float_histogram.go`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from workbench.query.promql.histogram_buckets import coarser, common_bounds, magnitudes, mapped_index
from workbench.query.promql.values import Bools, Floats, Ints
from workbench.query.promql.windows import totals
from workbench.signals.histograms import BASE, CUSTOM, GAUGE, NOT_RESET, RESET, UNKNOWN, Histograms

__all__ = ["Combined", "Terms", "combine", "equal", "folded_hints", "resets", "scaled", "with_hint"]

_SPAN = 4 * BASE
"""More than the distance between the smallest and the largest key."""


class Terms(NamedTuple):
    """What is added up: `weight[i]` times histogram `row[i]` goes to result `out[i]`, which never decreases."""

    row: Ints
    out: Ints
    weight: Floats
    n: int


class Combined(NamedTuple):
    """Results, and per result whether its terms mix exponential and custom buckets, or had other custom bounds.

    A result of mixed terms, or of none, is empty.
    """

    pool: Histograms
    mixed: Bools
    reconciled: Bools


def combine(pool: Histograms, terms: Terms, *, ceiling: Ints | None = None) -> Combined:
    """Return the weighted sums of histograms; empty buckets are left out and hints are unknown.

    `ceiling` holds, per result, the highest schema it may have.
    """
    custom = pool.custom[terms.row]
    mixed = _any(custom, terms) & _any(~custom, terms)
    if mixed.any():
        kept = ~mixed[terms.out]
        terms = Terms(terms.row[kept], terms.out[kept], terms.weight[kept], terms.n)
    schema = _lowest_schema(pool, terms)
    if ceiling is not None:
        schema = np.where(schema == CUSTOM, schema, np.minimum(schema, ceiling))
    threshold = _zero_threshold(pool, terms)
    layout, bounds, reconciled = _layouts(pool, terms)
    at, term = pool.slots(terms.row)
    key, count = pool.key[at], pool.bucket[at] * terms.weight[term]
    out = terms.out[term]
    if len(pool.bounds):
        key = _remapped(pool, key, pool.layout[terms.row[term]].astype(np.int64), layout[out].astype(np.int64), bounds)
    levels = np.maximum(pool.schema[terms.row].astype(np.int64)[term] - schema[out], 0)
    levels = np.where(schema[out] == CUSTOM, 0, levels)
    key, zero = _into_zero(pool, terms, threshold, key, term, levels)
    starts = np.searchsorted(terms.out, np.arange(terms.n + 1)).astype(np.int64)

    def summed(column: Floats) -> Floats:
        return totals(column[terms.row] * terms.weight, starts[:-1], starts[1:])

    zero_count = summed(pool.zero_count)
    if zero.any():
        zero_count = zero_count + np.bincount(out[zero], count[zero], terms.n)
        key, count, out = key[~zero], count[~zero], out[~zero]
    offsets, key, bucket = _added(out, key, count, terms.n)
    result = Histograms(
        schema.astype(np.int16), threshold, zero_count, summed(pool.count), summed(pool.sum),
        np.zeros(terms.n, np.int8), layout, offsets, key, bucket, bounds,
    )  # fmt: skip
    return Combined(result.compact(), mixed, reconciled)


def _any(flags: Bools, terms: Terms) -> Bools:
    found = np.zeros(terms.n, bool)
    found[terms.out[flags]] = True
    return found


def _lowest_schema(pool: Histograms, terms: Terms) -> Ints:
    schema = np.full(terms.n, 127, np.int64)
    np.minimum.at(schema, terms.out, pool.schema[terms.row].astype(np.int64))
    return np.where(schema == 127, 0, schema)


def _zero_threshold(pool: Histograms, terms: Terms) -> Floats:
    """Return, per result, the smallest zero threshold that suits all its terms."""
    own = pool.zero_threshold[terms.row]
    widest = np.zeros(terms.n)
    np.maximum.at(widest, terms.out, own)
    narrower = own < widest[terms.out]
    if not narrower.any():
        return widest
    at, term = pool.slots(terms.row)
    live = (pool.bucket[at] != 0) & narrower[term]
    at, term = at[live], term[live]
    low, high = magnitudes(pool.key[at], pool.schema[terms.row[term]].astype(np.int64))
    out = terms.out[term]
    while True:
        cut = (low < widest[out]) & (high > widest[out])
        if not cut.any():
            return widest
        np.maximum.at(widest, out[cut], high[cut])


def _layouts(
    pool: Histograms, terms: Terms
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], tuple[Floats, ...], Bools]:
    """Return the row of the bounds of every result, the bounds with new rows added, and which results needed one."""
    own = pool.layout[terms.row]
    low, high = np.full(terms.n, np.iinfo(np.int32).max, np.int32), np.full(terms.n, -1, np.int32)
    np.minimum.at(low, terms.out, own)
    np.maximum.at(high, terms.out, own)
    differ = (low < high) & (low >= 0)
    bounds = list(pool.bounds)
    known = {tuple(b.tolist()): i for i, b in enumerate(bounds)}
    if differ.any():
        inside = differ[terms.out]
        pairs = np.unique(np.stack([terms.out[inside], own[inside]]), axis=1)
        sets: dict[tuple[int, ...], int] = {}
        for out in np.flatnonzero(differ):
            ids = tuple(pairs[1][pairs[0] == out].tolist())
            if ids not in sets:
                common = common_bounds([pool.bounds[i] for i in ids])
                sets[ids] = known.setdefault(tuple(common.tolist()), len(bounds))
                if sets[ids] == len(bounds):
                    bounds.append(common)
            high[out] = sets[ids]
    return high, tuple(bounds), differ


def _remapped(pool: Histograms, key: Ints, old: Ints, new: Ints, bounds: tuple[Floats, ...]) -> Ints:
    changed = (old != new) & (old >= 0)
    if not changed.any():
        return key
    key = key.copy()
    for before, after in np.unique(np.stack([old[changed], new[changed]]), axis=1).T.tolist():
        own = changed & (old == before) & (new == after)
        key[own] = BASE + mapped_index(key[own] - BASE, pool.bounds[before], bounds[after])
    return key


def _into_zero(
    pool: Histograms, terms: Terms, threshold: Floats, key: Ints, term: Ints, levels: Ints
) -> tuple[Ints, Bools]:
    """Return keys in the result's schema, and which buckets have come to lie in its zero bucket."""
    out = terms.out[term]
    zero = np.zeros(len(key), bool)
    near = pool.zero_threshold[terms.row][term] < threshold[out]
    if near.any():
        _, high = magnitudes(key[near], pool.schema[terms.row].astype(np.int64)[term[near]])
        zero[near] = high <= threshold[out[near]]
    return (coarser(key, levels) if levels.any() else key), zero


def _added(out: Ints, key: Ints, count: Floats, n: int) -> tuple[Ints, Ints, Floats]:
    """Return offsets, keys and counts of the buckets of n results, equal keys of one result added up."""
    place = out * _SPAN + key + _SPAN // 2
    order = np.argsort(place, kind="stable")
    place, count = place[order], count[order]
    new = np.ones(len(place), bool)
    new[1:] = place[1:] != place[:-1]
    low = np.flatnonzero(new).astype(np.int64)
    summed = totals(count, low, np.append(low[1:], len(place)).astype(np.int64)) if len(low) else count
    owner = place[low] // _SPAN
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n))]).astype(np.int64)
    return offsets, place[low] % _SPAN - _SPAN // 2, summed


def scaled(pool: Histograms, factor: Floats, *, divide: bool = False) -> Histograms:
    """Return every histogram times, or divided by, its own factor; a negative one makes it a gauge.

    Division by zero leaves no bucket.
    """
    operate = np.divide if divide else np.multiply
    with np.errstate(all="ignore"):
        bucket = operate(pool.bucket, factor[pool.owner()])
        if divide and (factor == 0).any():
            bucket = np.where((factor == 0)[pool.owner()], 0.0, bucket)
        negative = factor < 0
        return replace(
            pool, zero_count=operate(pool.zero_count, factor), count=operate(pool.count, factor),
            sum=operate(pool.sum, factor), bucket=bucket, hint=np.where(negative, GAUGE, pool.hint).astype(np.int8),
        ).compact()  # fmt: skip


def with_hint(pool: Histograms, hint: int) -> Histograms:
    """Return the histograms with one hint for all."""
    return replace(pool, hint=np.full(len(pool), hint, np.int8))


def folded_hints(pool: Histograms, terms: Terms) -> tuple[np.ndarray[tuple[int], np.dtype[np.int8]], Bools]:
    """Return the hint of a sum of histograms, and where a reset and no reset came together."""
    hint = pool.hint[terms.row]
    has = {value: _any(hint == value, terms) for value in (UNKNOWN, RESET, NOT_RESET, GAUGE)}
    collide = has[RESET] & has[NOT_RESET]
    only_reset = has[RESET] & ~has[NOT_RESET] & ~has[UNKNOWN]
    only_not = has[NOT_RESET] & ~has[RESET] & ~has[UNKNOWN]
    out = np.select([has[GAUGE], only_reset, only_not], [GAUGE, RESET, NOT_RESET], UNKNOWN)
    return out.astype(np.int8), collide


def resets(pool: Histograms, now: Ints, before: Ints) -> Bools:
    """Return, for pairs of rows, whether a counter was reset between them.

    Hints decide where they are given; else it was when any count has fallen, or the resolution became finer, or the
    zero bucket narrower or wider than fits the earlier buckets.
    """
    hint = pool.hint[now]
    found: Bools = np.asarray(hint == RESET)
    open_: Bools = np.asarray((hint != RESET) & (hint != NOT_RESET))
    custom = pool.custom
    found |= open_ & (
        (pool.count[now] < pool.count[before])
        | (custom[now] != custom[before])
        | (~custom[now] & (pool.schema[now] > pool.schema[before]))
        | (pool.zero_threshold[now] < pool.zero_threshold[before])
    )
    rest = np.flatnonzero(open_ & ~found)
    if not len(rest):
        return found
    row = np.stack([now[rest], before[rest]], axis=1).ravel()
    weight = np.tile([1.0, -1.0], len(rest))
    change = combine(pool, Terms(row, np.repeat(np.arange(len(rest)), 2), weight, len(rest))).pool
    fallen = (change.zero_threshold != pool.zero_threshold[now[rest]]) | (change.zero_count < 0)
    fallen[change.owner()[change.bucket < 0]] = True
    found[rest] = fallen
    return found


def equal(left: Histograms, a: Ints, b: Ints) -> Bools:
    """Return, for pairs of rows of one pool without empty buckets, whether the histograms are the same but for hints."""
    pool = left
    same: Bools = np.asarray((pool.schema[a] == pool.schema[b]) & (pool.layout[a] == pool.layout[b]))
    for column in (pool.zero_threshold, pool.zero_count, pool.count):
        same &= column[a] == column[b]
    bits = np.ascontiguousarray(pool.sum).view(np.uint64)
    same &= (bits[a] == bits[b]) | (pool.sum[a] == pool.sum[b])
    lengths = np.diff(pool.offsets)
    same &= lengths[a] == lengths[b]
    rest = np.flatnonzero(same)
    at, entry = pool.slots(a[rest])
    other, _ = pool.slots(b[rest])
    differ = (pool.key[at] != pool.key[other]) | (pool.bucket[at] != pool.bucket[other])
    same[rest[entry[differ]]] = False
    return same
