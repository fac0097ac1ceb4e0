"""From selectors to values: what an instant selector, a range selector and a subquery take from the samples.

A stale marker ends a series at once and is in no range. Windows and the lookback are left-open, `(t - range, t]`, or
closed at both ends as Prometheus 2 had them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import LimitExceeded, QueryError
from workbench.query.promql import ast, functions_extended, functions_instant
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import Bools, Ints, Labels, Scalar, Vector, any_step
from workbench.query.promql.windows import positions
from workbench.signals import Matcher, Samples
from workbench.signals.histograms import GAUGE, UNKNOWN, Histograms
from workbench.signals.samples import is_stale

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["instant", "over_subquery", "over_window", "select"]

_SUBQUERY_STEP = 60 * 10**9


def select(evaluator: Evaluator, matchers: Sequence[Matcher], low: int, high: int) -> Samples:
    """Return the samples in `[low, high)` that a selector may need, refused where they are more than is allowed."""
    query = evaluator.query
    # Nothing is stored from before 1970, so a look back from its first minutes ends there.
    window = np.datetime64(max(low, 0), "ns"), np.datetime64(max(high, 0), "ns")
    if getattr(evaluator.selector, "count", None) is None:
        found = evaluator.selector.select(list(matchers), *window)
    else:
        look: Any = evaluator.selector.select
        found = look(list(matchers), *window, check=lambda *told: query.check(*told, spend=False))
    query.check(len(found), found.n_samples)
    evaluator.check(len(found))
    return found


def _integers(samples: Samples) -> tuple[Ints, Ints | None]:
    """Return times and start times as nanoseconds; a start that is not known is 0."""
    start = None
    if samples.start is not None:
        start = np.where(np.isnat(samples.start), 0, samples.start.view(np.int64))
    return samples.time.view(np.int64), start


def _stale(samples: Samples) -> Bools:
    stale = is_stale(samples.value)
    if samples.row is not None and samples.histograms is not None and len(samples.histograms):
        ended = is_stale(samples.histograms.sum)
        stale |= (samples.row >= 0) & ended[np.maximum(samples.row, 0)]
    return stale


def instant(evaluator: Evaluator, node: ast.VectorSelector, *, times: bool = False) -> Vector:
    """Return the newest sample of the lookback at every step, or with `times` when it was taken, seconds."""
    moments = evaluator.moments(node.offset, node.at)
    if node.mode:
        return _smoothed(evaluator, node, moments)
    back = evaluator.query.lookback
    closed = evaluator.query.closed
    samples = select(evaluator, node.matchers, int(moments[0]) - back + (not closed), int(moments[-1]) + 1)
    labels = Labels.of_samples(samples)
    time, _ = _integers(samples)
    last = positions(time, samples.offsets, moments) - 1
    inside = last >= samples.offsets[:-1, None]
    last = np.maximum(last, 0)
    if samples.n_samples == 0:
        return Vector.build(labels, np.zeros(last.shape), np.zeros(last.shape, bool)).compact()
    present = inside & (time[last] > moments - back - closed) & ~_stale(samples)[last]
    values = time[last] / 1e9 if times else samples.value[last]
    out = Vector.build(labels, np.where(present, values, np.nan), present)
    if samples.row is not None and not times:
        rows = np.where(present, samples.row[last], -1)
        if (rows >= 0).any():
            out = replace(out, rows=rows, pool=samples.histograms)
    return out.compact()


def _smoothed(evaluator: Evaluator, node: ast.VectorSelector, moments: Ints) -> Vector:
    back = evaluator.query.lookback
    samples = select(evaluator, node.matchers, int(moments[0]) - back + 1, int(moments[-1]) + back + 1)
    ranges = _ranges(evaluator, samples, moments + back, 2 * back)
    vector, mixed, incompatible = functions_extended.smoothed_vector(ranges, moments)
    evaluator.notes.series("mixed_samples", vector.labels, any_step(mixed), node)
    evaluator.notes.series("mixed_buckets", vector.labels, any_step(incompatible), node)
    return vector.compact()


def _ranges(evaluator: Evaluator, samples: Samples, moments: Ints, length: int) -> Ranges:
    labels = Labels.of_samples(samples)
    time, start = _integers(samples)
    row = samples.row if samples.row is not None and (samples.row >= 0).any() else None
    ranges = Ranges(
        labels, time, samples.value, samples.offsets, moments - length, moments, evaluator.steps,
        np.zeros(labels.n, bool), row, samples.histograms, start, closed=evaluator.query.closed,
        lookback=evaluator.query.lookback,
    )  # fmt: skip
    with np.errstate(invalid="ignore", over="ignore"):
        if row is None and not np.isnan(samples.value.sum()):  # a marker is a NaN; one sum is quicker than a mask
            return ranges
    stale = _stale(samples)
    return ranges.only(~stale) if stale.any() else ranges


def over_window(evaluator: Evaluator, node: ast.MatrixSelector) -> Ranges:
    """Return the samples of a range selector with the windows over them."""
    selector = node.vector
    moments = evaluator.moments(selector.offset, selector.at)
    length = evaluator.length(node.range)
    before = length + (evaluator.query.lookback if selector.mode else 0)
    after = evaluator.query.lookback if selector.mode == "smoothed" else 0
    closed = evaluator.query.closed
    low, high = int(moments[0]) - before + (not closed), int(moments[-1]) + after + 1
    samples = select(evaluator, selector.matchers, low, high)
    return replace(_ranges(evaluator, samples, moments, length), mode=selector.mode)


def over_subquery(evaluator: Evaluator, node: ast.Subquery) -> Ranges:
    """Return an expression's values at absolute multiples of the subquery's step, as samples of a range."""
    moments = evaluator.moments(node.offset, node.at)
    length, step = evaluator.length(node.range), evaluator.length(node.step) or _SUBQUERY_STEP
    closed = evaluator.query.closed
    first = ((int(moments[0]) - length - closed) // step + 1) * step
    count = max((int(moments[-1]) - first) // step + 1, 0)
    if count > evaluator.query.limit:
        raise LimitExceeded(
            f"the subquery has {count} steps; at most {evaluator.query.limit} are allowed: use a longer step."
        )
    inner = replace(evaluator, steps=first + np.arange(max(count, 1), dtype=np.int64) * step)
    value = inner.value(node.expr)
    vector = functions_instant.of_scalar(value) if isinstance(value, Scalar) else value
    if not isinstance(vector, Vector):
        raise QueryError("a subquery must be over an instant vector or a scalar.")
    row, at = np.nonzero(vector.present if count else np.zeros_like(vector.present))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=vector.labels.n))]).astype(np.int64)
    histograms = None if vector.rows is None else vector.rows[row, at]
    return Ranges(
        vector.labels, inner.steps[at], vector.values[row, at], offsets, moments - length, moments, evaluator.steps,
        vector.drop_name, histograms, _unhinted(vector.pool), closed=closed,
    )  # fmt: skip


def _unhinted(pool: Histograms | None) -> Histograms | None:
    """Return histograms whose hints say nothing of resets: what a subquery leaves out may hold one, or repeat one."""
    if pool is None:
        return None
    return replace(pool, hint=np.where(pool.hint == GAUGE, GAUGE, UNKNOWN).astype(np.int8))
