"""Aggregations: from n series to one per group, all steps at once.

Rows are sorted by group once; every aggregation is then a reduction over consecutive rows, column by column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.errors import QueryError
from workbench.query.promql import aggregate_native, ast
from workbench.query.promql.functions_label import check_label
from workbench.query.promql.functions_range import quantile_of
from workbench.query.promql.histogram_reads import spelled
from workbench.query.promql.ranking import best
from workbench.query.promql.sampled import ratio_offsets
from workbench.query.promql.spelling import number_text
from workbench.query.promql.values import NAME, Bools, Floats, Ints, Labels, Text, Vector, distinct
from workbench.query.promql.windows import heavy

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["aggregate", "count_values", "evaluate", "quantile", "top"]


@dataclass(frozen=True)
class _Grouped:
    """Rows of a vector sorted by group; group g owns rows `starts[g]` to the next start."""

    labels: Labels
    drop_name: Bools
    order: Ints
    starts: Ints
    values: Floats
    present: Bools

    @property
    def group(self) -> Ints:
        """Group of every sorted row."""
        out = np.zeros(len(self.order), np.int64)
        out[self.starts[1:]] = 1
        return np.cumsum(out)

    def reduce(self, function: np.ufunc, values: npt.NDArray[np.generic]) -> Floats:
        """Return a reduction over the rows of every group, shape (groups, steps)."""
        return np.asarray(function.reduceat(values, self.starts, axis=0), np.float64)

    def count(self) -> Floats:
        """Return how many series are present, shape (groups, steps)."""
        return self.reduce(np.add, self.present.astype(np.float64))


def _groups(vector: Vector, grouping: tuple[str, ...], *, without: bool) -> tuple[Labels, Ints, Ints, Bools]:
    """Return the labels of the groups, the group of every row, the first row of every group, and whose name goes."""
    labels = vector.labels.drop([*grouping, NAME]) if without else vector.labels.keep(grouping)
    codes, first = labels.groups()
    drop = np.zeros(len(first), bool)
    if not without and NAME in grouping:
        np.logical_or.at(drop, codes, vector.drop_name)
    return labels.take(first), codes, first, drop


def _grouped(vector: Vector, grouping: tuple[str, ...], *, without: bool) -> _Grouped:
    labels, codes, _, drop = _groups(vector, grouping, without=without)
    order = np.argsort(codes, kind="stable").astype(np.int64)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1)).astype(np.int64)
    return _Grouped(labels, drop, order, starts, vector.values[order], vector.present[order])


def _sum(rows: _Grouped) -> Floats:
    """Return group sums; where the terms nearly cancel they are summed again with Neumaier's compensation."""
    terms = np.where(rows.present, rows.values, 0.0)
    out = rows.reduce(np.add, terms)
    poor = np.abs(out) < 1e-2 * rows.reduce(np.add, np.abs(terms))
    if poor.any():
        out = np.where(poor, _compensated(rows, terms), out)
    return out


def _compensated(rows: _Grouped, terms: Floats) -> Floats:
    stops = np.append(rows.starts[1:], len(terms))
    total = np.zeros((len(rows.starts), terms.shape[1]))
    lost = np.zeros_like(total)
    for k in range(int((stops - rows.starts).max())):
        live = rows.starts + k < stops
        x = np.where(live[:, None], terms[np.where(live, rows.starts + k, 0)], 0.0)
        new = total + x
        lost += np.where(np.abs(total) >= np.abs(x), (total - new) + x, (x - new) + total)
        total = new
    return np.asarray(total + lost)


def _average(rows: _Grouped) -> Floats:
    count = rows.count()
    mean = _sum(rows) / count
    if not np.isfinite(mean).all():
        largest = rows.reduce(np.maximum, np.where(rows.present, np.abs(rows.values), 0.0))
        scaled = rows.reduce(np.add, np.where(rows.present, rows.values / 2.0**60, 0.0)) / count * 2.0**60
        mean = np.where(np.isfinite(largest), scaled, mean)
    return mean


def _variance(rows: _Grouped, *, legacy: bool = False) -> Floats:
    """Return variances by running means and squares in the order Prometheus has them: that of equal values is exactly 0.

    With `legacy` the first value has none even where it is no number, as in Prometheus 2.
    """
    stops = np.append(rows.starts[1:], len(rows.values))
    shape = (len(rows.starts), rows.values.shape[1])
    count, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for k in range(int((stops - rows.starts).max(initial=0))):
        at = np.where(rows.starts + k < stops, rows.starts + k, 0)
        live = rows.present[at] & (rows.starts + k < stops)[:, None]
        x = rows.values[at]
        count += live
        mean = np.where(live & (count == 1), x, mean)
        away = x - mean
        new = mean + away / count
        more = np.where(count == 1, 0.0, away * (x - new)) if legacy else away * (x - new)
        squares = np.where(live, squares + more, squares)
        mean = np.where(live, new, mean)
    return np.asarray(squares / count)


def _extreme(function: np.ufunc) -> Callable[[_Grouped], Floats]:
    return lambda rows: rows.reduce(function, np.where(rows.present, rows.values, np.nan))


_SIMPLE: Final[dict[str, Callable[[_Grouped], Floats]]] = {
    "sum": _sum,
    "avg": _average,
    "min": _extreme(np.fmin),
    "max": _extreme(np.fmax),
    "count": lambda rows: rows.count(),
    "group": lambda rows: np.ones((len(rows.starts), rows.values.shape[1])),
    "stdvar": _variance,
    "stddev": lambda rows: np.sqrt(_variance(rows)),
    "legacy stdvar": lambda rows: _variance(rows, legacy=True),
    "legacy stddev": lambda rows: np.sqrt(_variance(rows, legacy=True)),
}


def evaluate(evaluator: Evaluator, node: ast.Aggregate) -> Vector:
    """Return the value of an aggregation, whose parameter the parser has checked."""
    vector = evaluator.vector(node.expr)
    if node.op == "count_values":
        label = evaluator.value(node.param) if node.param is not None else None
        name = label.value if isinstance(label, Text) else ""
        check_label(name, "invalid label name", legacy=evaluator.query.closed)
        return count_values(vector, node.grouping, name, without=node.without)
    if node.param is None and vector.rows is not None and node.op in ("sum", "avg"):
        return aggregate_native.total(evaluator, node, vector)
    if node.op not in ("count", "group", "limitk", "limit_ratio"):
        vector = _numbers(evaluator, node, vector)
    if node.param is None:
        op = f"legacy {node.op}" if evaluator.query.closed and node.op in ("stdvar", "stddev") else node.op
        return aggregate(op, vector, node.grouping, without=node.without)
    param = evaluator.scalar(node.param).values
    if node.op == "quantile":
        evaluator.notes.quantile(param, node.param)
        return quantile(vector, node.grouping, param, without=node.without)
    if node.op == "limit_ratio":
        return _limit_ratio(evaluator, node, vector, param)
    if node.op == "limitk":
        return _limitk(vector, node.grouping, param, without=node.without)
    return top(vector, node.grouping, param, largest=node.op == "topk", without=node.without)


def _numbers(evaluator: Evaluator, node: ast.Aggregate, vector: Vector) -> Vector:
    if vector.rows is not None and vector.histogram.any():
        where = node if node.op in ("topk", "bottomk") else node.expr
        evaluator.notes.inform(f"ignored histogram in {node.op} aggregation", where)
    return vector.numbers()


def _check_whole(k: Floats) -> None:
    if np.isnan(k).any():
        raise QueryError("Parameter value is NaN: k of topk, bottomk and limitk must be a number.")
    low, high = k.min(initial=0), k.max(initial=0)
    if low <= -(2.0**63):
        raise QueryError(f"Scalar value {number_text(float(low))} underflows int64: k must be larger.")
    if high >= 2.0**63:
        raise QueryError(f"Scalar value {number_text(float(high))} overflows int64: k must be smaller.")


def _limitk(vector: Vector, grouping: tuple[str, ...], k: Floats, *, without: bool) -> Vector:
    """Return the first k series of every group at every step, by their labels."""
    if k.max(initial=0) < 1 or not vector.labels.n:
        return vector.masked(np.zeros_like(vector.present)).compact()
    _check_whole(k)
    out = vector.take(vector.labels.order())
    rows = _grouped(out, grouping, without=without)
    running = np.cumsum(rows.present, axis=0)
    before: Ints = running - rows.present
    rank: Ints = before - before[rows.starts][rows.group]
    chosen = np.zeros_like(out.present)
    chosen[rows.order] = rows.present & (rank < np.trunc(k))
    return out.masked(chosen).compact()


def _limit_ratio(evaluator: Evaluator, node: ast.Aggregate, vector: Vector, r: Floats) -> Vector:
    """Return a share r of the series, those whose hash lies low in the range; for negative r those of the rest."""
    if not r.any():
        return vector.masked(np.zeros_like(vector.present)).compact()
    if np.isnan(r).any():
        raise QueryError("Ratio value is NaN: it must be a number from -1 to 1.")
    evaluator.notes.ratio(r, node.param if node.param is not None else node)
    share = np.clip(r, -1, 1)
    place = ratio_offsets(vector.labels)[:, None]
    return vector.masked(np.where(share >= 0, place < share, place >= 1 + share) & (share != 0)).compact()


def aggregate(op: str, vector: Vector, grouping: tuple[str, ...], *, without: bool) -> Vector:
    """Return one series per group for the aggregations that need nothing but the group's values."""
    if vector.labels.n == 0:
        return vector
    if op in ("sum", "avg", "count") and heavy(vector.values.size):
        return _fast(op, vector, grouping, without=without)
    rows = _grouped(vector, grouping, without=without)
    with np.errstate(all="ignore"):
        values = _SIMPLE[op](rows)
    present = rows.count() > 0
    return Vector(rows.labels, np.where(present, values, np.nan), present, rows.drop_name)


def _fast(op: str, vector: Vector, grouping: tuple[str, ...], *, without: bool) -> Vector:
    """Return sums, means or counts by a compiled loop."""
    from workbench.query.promql.kernels import group_sums

    labels, codes, first, drop = _groups(vector, grouping, without=without)
    shape = (len(first), vector.values.shape[1])
    total, count = np.zeros(shape), np.zeros(shape, np.int64)
    group_sums(vector.values, vector.present, codes, total, count)
    present = count > 0
    with np.errstate(all="ignore"):
        if op == "avg" and not np.isfinite(total[present]).all():
            rows = _grouped(vector, grouping, without=without)
            values = _average(rows)
        else:
            values = {"sum": total, "avg": total / count, "count": count.astype(np.float64)}[op]
    return Vector(labels, np.where(present, values, np.nan), present, drop)


def quantile(vector: Vector, grouping: tuple[str, ...], q: Floats, *, without: bool) -> Vector:
    """Return the q-quantile (one q per step) of every group."""
    if vector.labels.n == 0:
        return vector
    rows = _grouped(vector, grouping, without=without)
    steps = vector.values.shape[1]
    row, step = np.nonzero(rows.present)
    window = rows.group[row] * steps + step
    counts = np.bincount(window, minlength=len(rows.starts) * steps)
    wanted = np.tile(q, len(rows.starts))
    with np.errstate(all="ignore"):
        values = quantile_of(rows.values[row, step], window, counts, wanted).reshape(-1, steps)
    return Vector(rows.labels, values, counts.reshape(-1, steps) > 0, rows.drop_name)


def top(vector: Vector, grouping: tuple[str, ...], k: Floats, *, largest: bool, without: bool) -> Vector:
    """Return the k largest or smallest series of every group at every step, with their own labels; NaN comes last."""
    if vector.labels.n == 0 or k.max(initial=0) < 1:
        if np.isnan(k).any():
            _check_whole(k)
        return vector.masked(np.zeros_like(vector.present)).compact()
    _check_whole(k)
    vector = vector.take(vector.labels.order())
    _, codes, first, _ = _groups(vector, grouping, without=without)
    key = vector.values if largest else -vector.values
    chosen = best(key, vector.present, codes, len(first), np.trunc(k).astype(np.int64))
    out = vector.masked(chosen)
    if vector.values.shape[1] == 1:
        shown = np.where(np.isnan(key[:, 0]), np.inf, -key[:, 0])
        order = np.lexsort((shown, np.isnan(key[:, 0]), codes))
        out = replace(out, ordered=True).take(order.astype(np.int64))
    return out.compact()


def count_values(vector: Vector, grouping: tuple[str, ...], label: str, *, without: bool) -> Vector:
    """Return, per group and distinct value, how many series have it, the value spelled in a label."""
    if vector.labels.n == 0:
        return vector
    labels = vector.labels.drop([*grouping, NAME]) if without else vector.labels.keep(grouping)
    row, step = np.nonzero(vector.present)
    codes, values = pd.factorize(vector.values[row, step], use_na_sentinel=False)
    names = np.array([number_text(v, exponent=False) for v in values], object)
    if vector.rows is not None and vector.pool is not None:
        held = vector.rows[row, step]
        used, which = np.unique(held, return_inverse=True)
        texts = [spelled(vector.pool, int(h)) if h >= 0 else "" for h in used]
        codes, names = pd.factorize(np.where(held >= 0, np.array(texts, object)[which], names[codes]))
        values = names
    pair = row.astype(np.int64) * len(values) + codes
    pairs, which = np.unique(pair, return_inverse=True)
    found = labels.take(pairs // len(values)).with_column(label, names[pairs % len(values)])
    group, first = found.groups()
    steps = vector.values.shape[1]
    counts = np.bincount(group[which] * steps + step, minlength=len(first) * steps).reshape(-1, steps)
    return Vector.build(distinct([found.take(first)]), counts.astype(np.float64), counts > 0)
