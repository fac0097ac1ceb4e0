"""What native histograms tell: quantiles, fractions, mean and spread, and how they are written out.

Buckets of many histograms are laid side by side, (histograms, buckets), in the order of their values, the zero bucket
at its place; the walks below go over places, never over histograms.

References
----------
Prometheus, "Native Histograms [specification]", PromQL section; `promql/quantile.go`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.query.promql.histogram_buckets import bucket_bounds
from workbench.query.promql.spelling import number_text
from workbench.query.promql.values import Bools, Floats, Ints
from workbench.query.promql.windows import blocks, totals
from workbench.signals.histograms import BASE, Histograms

__all__ = ["Read", "bucket_list", "fraction", "quantile", "spelled", "variance"]


class Read(NamedTuple):
    """One number per histogram, and which histograms hold observations of NaN that bear on it."""

    values: Floats
    nan_result: Bools
    nan_skewed: Bools


class _Side(NamedTuple):
    """Buckets side by side, shape (k, w); `used` says where there is one."""

    low: Floats
    high: Floats
    counts: Floats
    used: Bools
    custom: Bools
    only_positive: Bools
    only_negative: Bools
    total: Floats
    sum: Floats


def _side_by_side(pool: Histograms) -> _Side:
    owner = pool.owner()
    low, high = bucket_bounds(pool)
    zero = pool.zero_count > 0
    negative = np.bincount(owner[pool.key < 0], minlength=len(pool))
    positive = np.bincount(owner[pool.key > 0], minlength=len(pool))
    place = np.arange(len(owner)) - pool.offsets[:-1][owner] + (zero[owner] & (pool.key > 0))
    width = max(int((negative + positive + zero).max(initial=0)), 1)
    shape = (len(pool), width)
    out = [np.zeros(shape) for _ in range(3)]
    used = np.zeros(shape, bool)
    for array, values in zip(out, (low, high, pool.bucket), strict=True):
        array[owner, place] = values
    used[owner, place] = True
    rows = np.flatnonzero(zero)
    out[0][rows, negative[rows]] = -pool.zero_threshold[rows]
    out[1][rows, negative[rows]] = pool.zero_threshold[rows]
    out[2][rows, negative[rows]] = pool.zero_count[rows]
    used[rows, negative[rows]] = True
    only_positive, only_negative = (negative == 0) & (positive > 0), (positive == 0) & (negative > 0)
    return _Side(out[0], out[1], out[2], used, pool.custom, only_positive, only_negative, pool.count, pool.sum)


def _pieces(pool: Histograms) -> list[Ints]:
    weights = np.diff(pool.offsets) + 2
    return [np.arange(piece.start, min(piece.stop, len(pool)), dtype=np.int64) for piece in blocks(weights, 1 << 20)]


def quantile(pool: Histograms, q: Floats) -> Read:
    """Return the q-quantile (one q each, shape (k,)) of every histogram.

    Interpolation is linear in custom buckets and in the zero bucket, exponential elsewhere. Observations of NaN count
    as larger than all: with them the walk starts from below, and a quantile among them is NaN.
    """
    parts = [_quantile(_side_by_side(pool.take(rows)), q[rows]) for rows in _pieces(pool)]
    return Read(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else _nothing()


def _nothing() -> Read:
    return Read(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))


def _quantile(side: _Side, q: Floats) -> Read:
    k = np.arange(len(q))
    forward = np.isnan(side.sum) | (q < 0.5)
    with np.errstate(all="ignore"):
        rank = np.where(forward, q, 1 - q) * side.total
        up = np.cumsum(side.counts, axis=1)
        down = np.cumsum(side.counts[:, ::-1], axis=1)[:, ::-1]
        live = side.used & (side.counts != 0)
        reached = live & (np.where(forward[:, None], up, down) >= rank[:, None])
        ends = np.where(reached.any(axis=1)[:, None], reached, side.used)
        first, last = ends.argmax(axis=1), side.low.shape[1] - 1 - ends[:, ::-1].argmax(axis=1)
        hit = reached.any(axis=1)
        # Without a hit the walk went on to its end: the last bucket of the direction.
        at = np.where(forward == hit, first, last)
        count = np.minimum(np.where(forward, up[k, at], down[k, at]), side.total)
        low, high, own = side.low[k, at], side.high[k, at], side.counts[k, at]
        spans_zero = ~side.custom & (low < 0) & (high > 0)
        low = np.where(spans_zero & side.only_positive, 0.0, low)
        high = np.where(spans_zero & side.only_negative, 0.0, high)
        first_custom, last_custom = side.custom & np.isneginf(low), side.custom & np.isposinf(high)
        low = np.where(first_custom & (high > 0), 0.0, low)
        rest = np.where(forward, rank - (count - own), count - rank)
        share = rest / own
        linear = low + (high - low) * share
        log_low, log_high = np.log2(np.abs(low)), np.log2(np.abs(high))
        up_scale = np.exp2(log_low + (log_high - log_low) * share)
        down_scale = -np.exp2(log_high + (log_low - log_high) * (1 - share))
        curved = np.where(low > 0, up_scale, down_scale)
        out = np.where(side.custom | ((low <= 0) & (high >= 0)), linear, curved)
        unreached = count < rank
        nan_result = unreached & np.isnan(side.sum)
        out = np.where(unreached, np.where(nan_result, np.nan, high), out)
        out = np.where(first_custom & (high <= 0), high, out)
        ends_at_last = last_custom & ~first_custom
        out = np.where(ends_at_last, low, out)
        nan_result &= ~ends_at_last & ~(first_custom & (high <= 0))
        skewed = np.isnan(side.sum) & ~unreached & (side.counts.sum(axis=1) < side.total)
        skewed &= ~ends_at_last & ~(first_custom & (high <= 0))
    unasked = (side.total == 0) | np.isnan(q) | (q < 0) | (q > 1)
    out = np.where((side.total == 0) | np.isnan(q), np.nan, out)
    out = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, out))
    return Read(out, nan_result & ~unasked, skewed & ~unasked)


def fraction(pool: Histograms, lower: Floats, upper: Floats) -> Read:
    """Return the share of observations between two bounds, one pair per histogram."""
    parts = [_fraction(_side_by_side(pool.take(rows)), lower[rows], upper[rows]) for rows in _pieces(pool)]
    return Read(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else _nothing()


def _fraction(side: _Side, lower: Floats, upper: Floats) -> Read:
    counted = np.where(np.isnan(side.sum), side.counts.sum(axis=1), side.total)
    with np.errstate(all="ignore"):
        low, high = (np.minimum(_rank_at(side, bound), counted) for bound in (lower, upper))
        out = (high - low) / side.total
    out = np.where(lower >= upper, 0.0, out)
    unknown = (side.total == 0) | np.isnan(lower) | np.isnan(upper)
    nans = np.isnan(side.sum) & (counted < side.total) & ~unknown & ~(lower >= upper)
    return Read(np.where(unknown, np.nan, out), np.zeros(len(out), bool), nans)


def _rank_at(side: _Side, bound: Floats) -> Floats:
    """Return how many observations lie below `bound`, +Inf when above every bucket."""
    out = np.full(len(bound), np.inf)
    done = np.zeros(len(bound), bool)
    rank = np.zeros(len(bound))
    for i in range(side.low.shape[1]):
        low, high, count = side.low[:, i], side.high[:, i], side.counts[:, i]
        zero = (low <= 0) & (high >= 0)
        low = np.where(zero & side.only_positive, 0.0, low)
        high = np.where(zero & side.only_negative, 0.0, high)
        here = side.used[:, i] & ~done
        at_edge = here & (low >= bound)
        inside = here & (low < bound) & (high > bound)
        straight = np.where(np.isneginf(low), count, rank + count * (bound - low) / (high - low))
        log_low, log_high, log_bound = (np.log2(np.abs(x)) for x in (low, high, bound))
        share = np.where(
            bound > 0, (log_bound - log_low) / (log_high - log_low), 1 - (log_bound - log_high) / (log_low - log_high)
        )
        value = np.where(side.custom | zero, straight, rank + count * share)
        out = np.where(at_edge, rank, np.where(inside, value, out))
        done |= at_edge | inside
        rank = rank + np.where(side.used[:, i], count, 0.0)
    return out


def variance(pool: Histograms) -> Floats:
    """Return the variance of every histogram, each bucket standing at its middle (the geometric one, if exponential)."""
    owner = pool.owner()
    low, high = bucket_bounds(pool)
    with np.errstate(all="ignore"):
        mean = pool.sum / pool.count
        middle = np.sqrt(low * high)
        middle = np.where(high < 0, -middle, middle)
        middle = np.where((low <= 0) & (high >= 0), 0.0, middle)
        middle = np.where(pool.custom[owner], (low + high) / 2, middle)
        away = pool.bucket * (middle - mean[owner]) ** 2
        away = np.where(pool.bucket == 0, 0.0, away)
        spread = totals(away, pool.offsets[:-1], pool.offsets[1:])
        zero = np.where(pool.zero_count > 0, pool.zero_count * mean**2, 0.0)
        return np.asarray((spread + zero) / pool.count)


def bucket_list(pool: Histograms, row: int) -> list[tuple[int, float, float, float]]:
    """Return the populated buckets of one histogram as Prometheus' HTTP API does: rule, lower, upper, count.

    The rule is 0 for open below, 1 for open above, 2 for open, 3 for closed at both ends.
    """
    one = pool.take(np.array([row], np.int64)).compact()
    low, high = bucket_bounds(one)
    rules = np.where(one.key > 0, 0, 1)
    rules[one.custom[one.owner()] & (one.key == BASE)] = 3  # the first takes in what it reaches down to
    out = [(int(r), float(a), float(b), float(c)) for r, a, b, c in zip(rules, low, high, one.bucket, strict=True)]
    if one.zero_count[0] != 0:
        at = int((one.key < 0).sum())
        out.insert(at, (3, -float(one.zero_threshold[0]), float(one.zero_threshold[0]), float(one.zero_count[0])))
    return out


def spelled(pool: Histograms, row: int) -> str:
    """Return one histogram as Prometheus writes it: `{count:2, sum:3, (0.5,1]:2}`."""
    ends = {0: "(]", 1: "[)", 2: "()", 3: "[]"}
    parts = [f"count:{number_text(float(pool.count[row]))}, sum:{number_text(float(pool.sum[row]))}"]
    for rule, low, high, count in bucket_list(pool, row):
        left, right = ends[rule][0], ends[rule][1]
        parts.append(f"{left}{number_text(low)},{number_text(high)}{right}:{number_text(count)}")
    return "{" + ", ".join(parts) + "}"
