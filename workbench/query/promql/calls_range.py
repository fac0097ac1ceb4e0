"""Calls of functions over range vectors: numbers one way, native histograms another, and what a mixture gives.

Sums, means and rates want samples of one kind in a window and give nothing for a mixture. Functions of numbers alone
leave histograms out and say so. The rest looks at both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import ast, functions_extended, functions_native
from workbench.query.promql.functions_range import apply_range, extension, with_start
from workbench.query.promql.histogram_math import scaled
from workbench.query.promql.ranges import Ranges
from workbench.query.promql.values import NAME, Bools, Floats, Ints, Scalar, Vector, any_step, places

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["call"]

_RATES: Final = ("rate", "increase", "delta")
_EITHER: Final = ("sum_over_time", "avg_over_time")
_BOTH: Final = ("count_over_time", "present_over_time", "ts_of_last_over_time", "ts_of_first_over_time")
_PAIRS: Final = ("changes", "resets")
_COUNTER_NAMES: Final = ("_total", "_sum", "_count", "_bucket")


def call(evaluator: Evaluator, node: ast.Call) -> Vector:
    """Return the value of a function of a range vector."""
    values = [evaluator.value(arg) for arg in node.args]
    at = next(i for i, value in enumerate(values) if isinstance(value, Ranges))
    ranges = values[at]
    if not isinstance(ranges, Ranges):
        raise QueryError(f"{node.func} needs a range vector.")
    params = [value for value in values if isinstance(value, Scalar)]
    arg = ast.bare(node.args[at])
    _check_mode(node.func, ranges.mode)
    if node.func == "quantile_over_time" and ranges.labels.n:
        evaluator.notes.quantile(params[0].values, node.args[0])
    if node.func in _RATES:
        out = _rate(evaluator, node.func, ranges, arg)
    elif node.func in ("irate", "idelta"):
        out = _last_two(evaluator, node, ranges, arg)
    elif ranges.row is None and not ranges.mode:
        return apply_range(node.func, ranges, params)
    elif node.func in _PAIRS:
        out = _pairs(node.func, ranges)
    elif node.func in _BOTH:
        return apply_range(node.func, replace(ranges, row=None), params)
    elif node.func in ("first_over_time", "last_over_time"):
        out = _one(node.func, ranges)
    elif node.func in _EITHER:
        out = _aggregate(evaluator, node.func, ranges, arg)
    else:
        out = _numbers_only(evaluator, node.func, ranges, params, arg)
    return out


def _check_mode(name: str, mode: str) -> None:
    allowed = {"anchored": functions_extended.ANCHORED, "smoothed": functions_extended.SMOOTHED}.get(mode)
    if allowed is not None and name not in allowed:
        raise QueryError(f"{mode} modifier can only be used with: {', '.join(allowed)} - not with {name}")


def _dropping(ranges: Ranges, values: Floats, present: Bools) -> Vector:
    return Vector(ranges.labels, np.where(present, values, np.nan), present, np.ones(ranges.labels.n, bool))


def _numbers_only(evaluator: Evaluator, name: str, ranges: Ranges, params: list[Scalar], arg: ast.Node) -> Vector:
    numbers, histograms = ranges.numbers(), ranges.histograms()
    held = (numbers.high > numbers.low) & (histograms.high > histograms.low)
    evaluator.notes.series("ignored_in_range", ranges.labels, any_step(held), arg)
    return apply_range(name, numbers, params)


def _one(name: str, ranges: Ranges) -> Vector:
    some = ranges.high > ranges.low
    at = np.where(some, ranges.low if name == "first_over_time" else ranges.high - 1, 0)
    values = np.where(some, ranges.value[at], np.nan) if len(ranges.time) else np.full(some.shape, np.nan)
    out = Vector(ranges.labels, values, some, ranges.drop_name)
    if ranges.row is None:
        return out
    return replace(out, rows=np.where(some, ranges.row[at], -1), pool=ranges.pool)


def _aggregate(evaluator: Evaluator, name: str, ranges: Ranges, arg: ast.Node) -> Vector:
    numbers, histograms = ranges.numbers(), ranges.histograms()
    counts = histograms.high - histograms.low
    mixed = (numbers.high > numbers.low) & (counts > 0)
    evaluator.notes.series("mixed_samples", ranges.labels, any_step(mixed), arg)
    out = apply_range(name, numbers, [])
    out = replace(out, present=out.present & ~mixed)
    cells = places((counts > 0) & ~mixed)
    if not len(cells[0]):
        return out
    function = functions_native.total if name == "sum_over_time" else functions_native.mean
    done = function(histograms, histograms.low[cells], histograms.high[cells])
    return _placed(evaluator, out, cells, done, arg)


def _placed(
    evaluator: Evaluator, vector: Vector, cells: tuple[Ints, Ints], done: functions_native.Outcome, arg: ast.Node
) -> Vector:
    """Return the vector with histograms at their places, and note what they were made from."""
    n = vector.labels.n
    for what, flags in (
        ("mixed_buckets", done.mixed), ("not_counter", done.not_counter), ("not_gauge", done.not_gauge),
    ):  # fmt: skip
        which = np.zeros(n, bool)
        which[cells[0][flags]] = True
        evaluator.notes.series(what, vector.labels, which, arg)
    for operation, flags in (
        ("addition", done.added), ("subtraction", done.subtracted), ("aggregation", done.aggregated),
    ):  # fmt: skip
        if flags.any():
            evaluator.notes.reconciled(operation, arg)
    if done.collided.any():
        evaluator.notes.collided("aggregation", arg)
    good = np.flatnonzero(~done.mixed)
    return vector.with_cells(cells[0][good], cells[1][good], done.pool.take(good))


def _rate(evaluator: Evaluator, name: str, ranges: Ranges, arg: ast.Node) -> Vector:
    counter, per_second = name != "delta", name == "rate"
    numbers = ranges.numbers()
    if ranges.mode:
        values, present = functions_extended.rate(numbers, counter=counter, per_second=per_second)
        out = _dropping(ranges, values, present)
    else:
        out = apply_range(name, numbers, [])
        _note_overlap(evaluator, numbers, out, arg, counter=counter)
    if ranges.row is not None:
        out = _histogram_rate(evaluator, name, ranges, out, arg)
    if counter:
        names = out.labels.column(NAME)
        wrong = np.array([bool(text) and not text.endswith(_COUNTER_NAMES) for text in names.tolist()], bool)
        known = out.present if out.rows is None else out.present & (out.rows < 0)
        evaluator.notes.series("no_counter_name", out.labels, any_step(known) & wrong, arg)
    return out


def _note_overlap(evaluator: Evaluator, ranges: Ranges, out: Vector, arg: ast.Node, *, counter: bool) -> None:
    """Warn where a sample's start lies before the sample before it, and is not the start that one had."""
    if ranges.start is None or not counter or len(ranges.time) < 2:
        return
    start, before, past = ranges.start[1:], ranges.start[:-1], ranges.time[:-1]
    running = ranges.previous_differs((start != 0) & (start < past) & (start != before))
    some = out.present & (ranges.high > ranges.low)
    first, last = np.where(some, ranges.low, 0), np.where(some, ranges.high - 1, 0)
    evaluator.notes.series("overlapping_start", ranges.labels, any_step(running[last] > running[first]), arg)


def _histogram_rate(evaluator: Evaluator, name: str, ranges: Ranges, out: Vector, arg: ast.Node) -> Vector:
    counter, per_second = name != "delta", name == "rate"
    numbers, histograms = ranges.numbers(), ranges.histograms()
    if ranges.mode:
        low, high = histograms.wide
        mixed = (numbers.wide[1] > numbers.wide[0]) & (high > low)
        ends = functions_extended.ends(histograms)
        out = replace(out, present=out.present & ~mixed)
        cells = places(ends.present & ~mixed)
        evaluator.notes.series("mixed_samples", ranges.labels, any_step(mixed), arg)
        if not len(cells[0]):
            return out
        done = functions_extended.histogram_rate(histograms, cells, ends, counter=counter, per_second=per_second)
        return _placed(evaluator, out, cells, done, arg)
    counts = histograms.high - histograms.low
    mixed = (numbers.high > numbers.low) & (counts > 0)
    evaluator.notes.series("mixed_samples", ranges.labels, any_step(mixed), arg)
    out = replace(out, present=out.present & ~mixed)
    early = with_start(histograms) if counter else None
    enough = (counts >= 2) | ((counts == 1) & early if early is not None else False)
    cells = places(enough & ~mixed)
    if not len(cells[0]):
        return out
    low, high = histograms.low[cells], histograms.high[cells]
    begun = early[cells] if early is not None else np.zeros(len(low), bool)
    reset = functions_native.reset_before(histograms) if counter else np.zeros(len(histograms.time), bool)
    done = functions_native.increase(histograms, low, high, reset, counter=counter, from_zero=begun)
    pool = histograms.pool
    first_count = np.zeros(len(low)) if pool is None or histograms.row is None else pool.count[histograms.row[low]]
    factor = extension(histograms, (low, high, cells[1]), first_count, done.pool.count, counter=counter, begun=begun)
    if per_second:
        factor = factor / ranges.seconds
    done = replace(done, pool=scaled(done.pool, factor))
    return _placed(evaluator, out, cells, done, arg)


def _last_two(evaluator: Evaluator, node: ast.Call, ranges: Ranges, arg: ast.Node) -> Vector:
    counter = node.func == "irate"
    if ranges.row is None:
        return apply_range(node.func, ranges, [])
    some = ranges.high - ranges.low >= 2
    last = np.where(some, ranges.high - 1, 0)
    before = np.maximum(last - 1, 0)
    kinds = (ranges.row[last] >= 0).astype(int) + (ranges.row[before] >= 0)
    mixed = some & (kinds == 1)
    evaluator.notes.series("mixed_samples", ranges.labels, any_step(mixed), arg)
    out = apply_range(node.func, replace(ranges, row=None), [])
    out = replace(out, present=out.present & (kinds == 0))
    cells = places(some & (kinds == 2))
    if not len(cells[0]):
        return out
    done = functions_native.difference(ranges, before[cells], last[cells], counter=counter)
    if counter:
        seconds = (ranges.time[last[cells]] - ranges.time[before[cells]]) / 1e9
        done = replace(done, pool=scaled(done.pool, seconds, divide=True))
    return _placed(evaluator, out, cells, done, arg)


def _pairs(name: str, ranges: Ranges) -> Vector:
    """Return how often neighbours in a window differ, or a counter was reset; number to histogram is both."""
    value = ranges.value
    now, before = value[1:], value[:-1]
    differs = now < before if name == "resets" else (now != before) & ~(np.isnan(now) & np.isnan(before))
    if ranges.row is not None and len(value):
        kind = ranges.row >= 0
        histograms = ranges.histograms()
        own = functions_native.reset_before(histograms) if name == "resets" else functions_native.changed(histograms)
        whole = np.zeros(len(value), bool)
        whole[kind] = own
        differs = np.where(kind[1:] != kind[:-1], True, np.where(kind[1:], whole[1:], differs))
    running = ranges.previous_differs(differs)
    if ranges.mode == "anchored":
        ends = functions_extended.anchors(ranges)
        some, first = ends.present, ends.first
    else:
        some, first = ranges.high > ranges.low, ranges.low
    if not len(value):
        return _dropping(ranges, np.full(some.shape, np.nan), some)
    last = np.where(some, ranges.high - 1, 0)
    return _dropping(ranges, (running[last] - running[np.where(some, first, 0)]).astype(np.float64), some)
