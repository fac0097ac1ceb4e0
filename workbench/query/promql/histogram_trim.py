"""The operators `</` and `>/`: what is left of a native histogram below or above a value.

A bucket that the value cuts keeps a share of its count, by the interpolation that quantiles use. Where anything went,
the sum is made up anew from what is left, each bucket standing at the middle of its part.

References
----------
Prometheus documentation, "Operators", section on histogram trimming.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.query.promql.histogram_buckets import bucket_bounds
from workbench.query.promql.values import Bools, Floats
from workbench.query.promql.windows import totals
from workbench.signals.histograms import Histograms

__all__ = ["trim"]


def trim(pool: Histograms, at: Floats, *, above: bool) -> Histograms:
    """Return every histogram without what lies above (`</`) or below (`>/`) its own value of `at`, shape (k,)."""
    pool = pool.compact()
    owner = pool.owner()
    low, high = bucket_bounds(pool)
    value, custom = at[owner], pool.custom[owner]
    with np.errstate(all="ignore"):
        whole = high <= value if above else low >= value
        cut = ~whole & ((low < value) if above else (high > value))
        share, part = _cut(low, high, pool.bucket, value, custom, above)
        kept = np.where(whole, pool.bucket, np.where(cut, share, 0.0))
        middle = np.where(whole, _middle(low, high, pool.key > 0, custom), part)
        zero, zero_middle = _zero(pool, at, above)
    first, last = pool.offsets[:-1], pool.offsets[1:]
    touched = zero != pool.zero_count
    touched[owner[kept != pool.bucket]] = True
    count = totals(kept, first, last) + np.where(pool.zero_count > 0, zero, 0.0)
    total = totals(np.where(kept == 0, 0.0, kept * middle), first, last) + np.where(zero > 0, zero * zero_middle, 0.0)
    return replace(
        pool, bucket=kept, zero_count=zero, count=np.where(touched, count, pool.count),
        sum=np.where(touched, total, pool.sum),
    ).compact()  # fmt: skip


def _middle(low: Floats, high: Floats, positive: Bools, linear: Bools) -> Floats:
    """Return where the observations of an interval stand: its geometric middle, or with `linear` the arithmetic one."""
    out = np.where(positive, 1.0, -1.0) * np.sqrt(np.abs(low * high))
    out = np.where(linear, (low + high) / 2, out)
    below, above = np.isinf(low), np.isinf(high)
    out = np.where(below & ~above, np.where(high > 0, high / 2, high), out)
    return np.asarray(np.where(above, np.where(below, 0.0, low), out))


def _cut(low: Floats, high: Floats, count: Floats, value: Floats, custom: Bools, above: bool) -> tuple[Floats, Floats]:
    """Return what a bucket that holds the value keeps, and the middle of that."""
    straight = (value - low) / (high - low)
    log_low, log_high, log_value = (np.log2(np.abs(x)) for x in (low, high, value))
    rising = (log_value - log_low) / (log_high - log_low)
    falling = 1 - (log_value - log_high) / (log_low - log_high)
    under = count * np.where(custom, straight, np.where(low >= 0, rising, falling))
    kept = under if above else count - under
    ends = (low, value) if above else (value, high)
    middle = _middle(*ends, low >= 0, custom)
    # Of a bucket that is open at one end nothing is known but that end; only with a positive upper bound it starts at 0.
    open_low, open_high = np.isneginf(low), np.isposinf(high)
    finite = open_low & ~open_high
    if above:
        inside = finite & (value > 0) & (high > 0)
        kept = np.where(open_low, np.where(inside, count * value / high, np.where(high <= 0, count, 0.0)), kept)
        middle = np.where(open_low, np.where(inside, value / 2, value), middle)
        return np.where(open_high, 0.0, kept), middle
    inside = finite & (value >= 0)
    kept = np.where(open_low, np.where(inside, count * (1 - value / high), 0.0), kept)
    middle = np.where(open_low, (value + high) / 2, middle)
    last = open_high & ~open_low
    return np.where(last, count, kept), np.where(last, value, middle)


def _zero(pool: Histograms, at: Floats, above: bool) -> tuple[Floats, Floats]:
    """Return what is left of every zero bucket, and the middle of that."""
    owner = pool.owner()
    positive, negative = np.zeros(len(pool), bool), np.zeros(len(pool), bool)
    positive[owner[pool.key > 0]] = True
    negative[owner[pool.key < 0]] = True
    low = np.where(positive & ~negative, 0.0, -pool.zero_threshold)
    high = np.where(negative & ~positive, 0.0, pool.zero_threshold)
    whole = high <= at if above else low >= at
    none = (at <= low) if above else (at >= high)
    if above:  # of both, the outer test comes first
        whole &= ~none
    else:
        none &= ~whole
    share = (at - low) / (high - low) if above else (high - at) / (high - low)
    middle = (low + at) / 2 if above else (at + high) / 2
    kept = pool.zero_count * np.where(whole, 1.0, np.where(none, 0.0, share))
    out = np.where(pool.zero_count > 0, kept, pool.zero_count)
    return out, np.where(whole, (low + high) / 2, middle)
