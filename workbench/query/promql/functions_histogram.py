"""Quantiles and fractions of classic histograms, series with cumulative counts per upper bound `le`.

Buckets of one histogram are laid side by side, shape (histograms, buckets, steps), and walked once from the lowest to
the highest: a Python loop over buckets, never over histograms or steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.query.promql.lexer import number
from workbench.query.promql.values import NAME, Bools, Floats, Labels, Scalar, Vector

__all__ = ["Buckets", "Repairs", "fraction", "group_buckets", "malformed", "quantile"]

_TOLERANCE = 1e-12


class Buckets(NamedTuple):
    """Buckets of h histograms: `bound` (h, b) rising, `counts` and `present` (h, b, t)."""

    labels: Labels
    bound: Floats
    counts: Floats
    present: Bools


def _bound(text: str) -> float:
    sign, digits = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text.removeprefix("+"))
    found = number(digits)
    return np.nan if found is None else sign * found


def group_buckets(vector: Vector) -> Buckets:
    """Return the histograms of a vector; series without a number as `le` are left out, equal bounds are added up."""
    column = vector.labels.column("le")
    texts, codes = np.unique(column.astype(str), return_inverse=True)
    bounds = np.array([_bound(text) for text in texts])[codes]
    kept = np.flatnonzero(~np.isnan(bounds))
    bounds, rows = bounds[kept], vector.take(kept.astype(np.int64))
    labels = rows.labels.drop(["le"])
    group, first = labels.groups()
    order = np.lexsort((bounds, group))
    group, bounds = group[order], bounds[order]
    new = np.ones(len(order), bool)
    new[1:] = (group[1:] != group[:-1]) | (bounds[1:] != bounds[:-1])
    slot = np.cumsum(new) - 1
    starts = np.searchsorted(group, np.arange(len(first)))
    place = slot - slot[starts][group] if len(order) else slot
    width = int(place.max(initial=-1)) + 1
    steps = vector.values.shape[1]
    bound = np.full((len(first), width), np.inf)
    bound[group, place] = bounds
    count = np.zeros((len(first), width, steps))
    present = np.zeros(count.shape, bool)
    values = np.where(rows.present, rows.values, 0.0)[order]
    np.add.at(count, (group, place), values)
    np.logical_or.at(present, (group, place), rows.present[order])
    return Buckets(labels.take(first), bound, count, present)


def malformed(vector: Vector) -> list[tuple[str, str]]:
    """Return (metric name, `le`) of the series whose `le` is not a number, each pair once."""
    name, le = vector.labels.column(NAME), vector.labels.column("le")
    pairs = dict.fromkeys(zip(name.tolist(), le.tolist(), strict=True))
    return [pair for pair in pairs if np.isnan(_bound(pair[1]))]


class Repairs(NamedTuple):
    """Where counts fell and were lifted, shape (h, t): whether, lowest and highest bound, largest fall."""

    forced: Bools
    low: Floats
    high: Floats
    worst: Floats


def _monotonic(buckets: Buckets) -> tuple[Floats, Repairs]:
    """Return counts that never fall, and where they did.

    Tiny differences are taken for rounding. Absent buckets repeat the one before.
    """
    shape = buckets.counts[:, 0].shape
    forced = np.zeros(shape, bool)
    low, high, worst = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape)
    out = np.zeros_like(buckets.counts)
    before = np.full(forced.shape, -np.inf)
    for i in range(out.shape[1]):
        now = buckets.counts[:, i]
        scale = np.minimum(np.abs(now) + np.abs(before), np.finfo(float).max)
        close = np.abs(now - before) < _TOLERANCE * scale
        falls = buckets.present[:, i] & ~close & (now < before)
        forced |= falls
        if falls.any():
            bound = np.broadcast_to(buckets.bound[:, i : i + 1], shape)
            low = np.where(falls, np.minimum(low, bound), low)
            high = np.where(falls, np.maximum(high, bound), high)
            worst = np.where(falls, np.maximum(worst, before - now), worst)
        now = np.where(buckets.present[:, i] & ~close & ~falls, now, before)
        out[:, i] = before = now
    return out, Repairs(forced, low, high, worst)


def _result(buckets: Buckets, values: Floats) -> Vector:
    present = np.asarray(buckets.present.any(axis=1))
    drops = np.ones(buckets.labels.n, bool)
    return Vector(buckets.labels, np.where(present, values, np.nan), present, drops)


def quantile(buckets: Buckets, q: Scalar) -> tuple[Vector, Repairs]:
    """Return the q-quantile of every histogram, and where falling counts were repaired.

    Values are interpolated linearly within a bucket.

    The lowest bucket starts at 0 when its bound is positive; a quantile in the `+Inf` bucket is the bound below it;
    without a `+Inf` bucket, with fewer than two buckets or without observations it is NaN.
    """
    with np.errstate(all="ignore"):
        counts, repairs = _monotonic(buckets)
        values = _search(buckets, counts, q.values)
    values = np.where(q.values < 0, -np.inf, np.where(q.values > 1, np.inf, values))
    values = np.where(np.isnan(q.values), np.nan, values)
    whole = (buckets.present & np.isposinf(buckets.bound)[:, :, None]).any(axis=1)
    asked = whole & (q.values >= 0) & (q.values <= 1)
    return _result(buckets, values), repairs._replace(forced=repairs.forced & asked)


def _search(buckets: Buckets, counts: Floats, q: Floats) -> Floats:
    shape = counts[:, 0].shape
    total = counts[:, -1]
    rank = q * total
    used = buckets.present.sum(axis=1)
    whole = (buckets.present & np.isinf(buckets.bound)[:, :, None] & (buckets.bound > 0)[:, :, None]).any(axis=1)
    out = np.full(shape, np.nan)
    found = np.zeros(shape, bool)
    start, below, nth = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)
    for i in range(counts.shape[1]):
        here = buckets.present[:, i]
        upper = np.broadcast_to(buckets.bound[:, i : i + 1], shape)
        last = nth == used - 1
        hit = here & ~found & ((counts[:, i] >= rank) | last)
        inside = start + (upper - start) * ((rank - below) / (counts[:, i] - below))
        lowest = (nth == 0) & (upper <= 0)
        out = np.where(hit, np.where(last, start, np.where(lowest, upper, inside)), out)
        found |= hit
        start, below = np.where(here, upper, start), np.where(here, counts[:, i], below)
        nth = nth + here
    return np.where(whole & (used >= 2) & (total != 0), out, np.nan)


def fraction(buckets: Buckets, lower: Scalar, upper: Scalar) -> Vector:
    """Return the share of observations between two bounds, interpolated linearly within a bucket."""
    counts = _carried(buckets)
    whole = (buckets.present & np.isposinf(buckets.bound)[:, :, None]).any(axis=1)
    with np.errstate(all="ignore"):
        total = counts[:, -1]
        low, high = (np.minimum(_rank(buckets, counts, bound), total) for bound in (lower.values, upper.values))
        values = np.where(lower.values >= upper.values, 0.0, (high - low) / total)
    unknown = ~whole | (total == 0) | np.isnan(lower.values) | np.isnan(upper.values)
    return _result(buckets, np.where(unknown, np.nan, values))


def _carried(buckets: Buckets) -> Floats:
    out = np.where(buckets.present, buckets.counts, 0.0)
    for i in range(1, out.shape[1]):
        out[:, i] = np.where(buckets.present[:, i], out[:, i], out[:, i - 1])
    return out


def _rank(buckets: Buckets, counts: Floats, bound: npt.NDArray[np.float64]) -> Floats:
    """Return how many observations lie at or below `bound`, +inf when above every bucket."""
    shape = counts[:, 0].shape
    out = np.full(shape, np.inf)
    found = np.zeros(shape, bool)
    below, first = np.zeros(shape), np.ones(shape, bool)
    start = np.zeros(shape)
    for i in range(counts.shape[1]):
        here = buckets.present[:, i]
        upper = np.broadcast_to(buckets.bound[:, i : i + 1], shape)
        start = np.where(first & here & (upper <= 0), -np.inf, start)
        before = here & ~found & (start >= bound)
        out = np.where(before, below, out)
        found |= before
        inside = here & ~found & (start < bound) & (upper > bound)
        linear = below + (counts[:, i] - below) * (bound - start) / (upper - start)
        out = np.where(inside, np.where(np.isneginf(start), counts[:, i], linear), out)
        found |= inside
        start, below = np.where(here, upper, start), np.where(here, counts[:, i], below)
        first = first & ~here
    return out
