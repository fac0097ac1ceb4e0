"""Calls of the `histogram_...` functions: over classic histograms, over native ones, and over both at once.

Where a classic and a native histogram of the same labels meet at a step, neither counts, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.query.promql import ast, functions_histogram, histogram_reads
from workbench.query.promql.functions_histogram import Buckets
from workbench.query.promql.spelling import number_text
from workbench.query.promql.values import NAME, Bools, Floats, Ints, Scalar, Text, Vector, any_step, distinct
from workbench.signals import Histograms

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["CALLS"]


class _Both:
    """The histograms of a vector: native ones, and classic ones grouped by their labels without `le`."""

    def __init__(self, evaluator: Evaluator, vector: Vector, node: ast.Node) -> None:
        self.evaluator = evaluator
        self.steps = vector.values.shape[1]
        numbers = vector.numbers().compact()
        for name, le in functions_histogram.malformed(numbers):
            where = f' for metric name "{name}"' if name else ""
            evaluator.notes.warn(f'bucket label "le" is missing or has a malformed value of "{le}"{where}', node)
        self.classic: Buckets = functions_histogram.group_buckets(numbers)
        self.native = vector.masked(vector.histogram).compact() if vector.rows is not None else None
        if self.native is not None and self.native.labels.n and self.classic.labels.n:
            self._drop_conflicts(self.native, node)

    def _drop_conflicts(self, native: Vector, node: ast.Node) -> None:
        both = distinct([native.labels, self.classic.labels])
        codes, _ = both.groups()
        present = np.asarray(self.classic.present.any(axis=1))
        conflict, taken = np.zeros(native.present.shape, bool), np.zeros(present.shape, bool)
        place = {int(code): i for i, code in enumerate(codes[native.labels.n :])}
        for i, code in enumerate(codes[: native.labels.n].tolist()):
            if code in place:
                conflict[i] = native.present[i] & present[place[code]]
                taken[place[code]] = conflict[i]
        self.evaluator.notes.series("classic_and_native", native.labels, any_step(conflict), node)
        self.native = native.masked(~conflict)
        self.classic = self.classic._replace(present=self.classic.present & ~taken[:, None, :])

    def joined(self, classic: Vector | None, native: Vector | None) -> Vector:
        """Return both results as one vector."""
        parts = [part for part in (native, classic) if part is not None]
        if not parts:
            nothing = np.zeros((0, self.steps))
            return Vector.build(self.classic.labels, nothing, nothing.astype(bool))
        return Vector(
            distinct([part.labels for part in parts]), np.concatenate([part.values for part in parts]),
            np.concatenate([part.present for part in parts]), np.concatenate([part.drop_name for part in parts]),
        ).compact()  # fmt: skip


def _numbers(vector: Vector, function: Callable[[Histograms, Ints], Floats]) -> Vector:
    series, step, rows, pool = vector.cells()
    values = np.full(vector.present.shape, np.nan)
    present = np.zeros(vector.present.shape, bool)
    if len(rows):
        values[series, step] = function(pool.take(rows), step)
        present[series, step] = True
    return Vector(vector.labels, values, present, np.ones(vector.labels.n, bool))


def _quantile(evaluator: Evaluator, node: ast.Call) -> Vector:
    q = evaluator.scalar(node.args[0])
    if len(evaluator.steps):
        evaluator.notes.quantile(q.values, node.args[0])
    both = _Both(evaluator, evaluator.vector(node.args[1]), node.args[1])
    return _one_quantile(both, q, node.args[0], node.args[1])


def _one_quantile(both: _Both, q: Scalar, native_at: ast.Node, classic_at: ast.Node) -> Vector:
    native = None
    if both.native is not None:
        native = _quantile_of(both, both.native, q, native_at)
    classic = None
    if both.classic.bound.size:
        classic, repairs = functions_histogram.quantile(both.classic, q)
        _note_repairs(both, classic, repairs, classic_at)
    return both.joined(classic, native)


def _quantile_of(both: _Both, native: Vector, q: Scalar, node: ast.Node) -> Vector:
    flags: dict[str, Bools] = {}
    series, _, _, _ = native.cells()

    def read(pool: Histograms, step: Ints) -> Floats:
        found = histogram_reads.quantile(pool, q.values[step])
        for what, hit in (("quantile_nan", found.nan_result), ("quantile_skewed", found.nan_skewed)):
            flags[what] = np.zeros(native.labels.n, bool)
            flags[what][series[hit]] = True
        return found.values

    out = _numbers(native, read)
    for what, which in flags.items():
        both.evaluator.notes.series(what, native.labels, which, node)
    return out


def _note_repairs(both: _Both, classic: Vector, repairs: functions_histogram.Repairs, node: ast.Node) -> None:
    names = classic.labels.column(NAME)
    forced = repairs.forced & classic.present
    for name in dict.fromkeys(names[forced.any(axis=1)].tolist()):
        own = forced & (names == name)[:, None]
        times = both.evaluator.steps[np.sort(np.nonzero(own)[1])]
        bounds = float(repairs.low[own].min()), float(repairs.high[own].max())
        both.evaluator.notes.repaired(str(name), bounds, float(repairs.worst[own].max()), times, node)


def _quantiles(evaluator: Evaluator, node: ast.Call) -> Vector:
    label = evaluator.value(node.args[1])
    name = label.value if isinstance(label, Text) else ""
    both = _Both(evaluator, evaluator.vector(node.args[0]), node.args[0])
    parts = []
    for arg in node.args[2:]:
        q = evaluator.scalar(arg)
        evaluator.notes.quantile(q.values, arg)
        part = _one_quantile(both, q, node.args[0], node.args[0])
        for value in np.unique(q.values):
            text = np.full(part.labels.n, number_text(float(value), trim="0"), object)
            equal = (q.values == value) | (np.isnan(q.values) & np.isnan(value))
            own = part.masked(np.broadcast_to(equal, part.present.shape))
            parts.append(replace(own, labels=own.labels.with_column(name, text)))
    return Vector(
        distinct([part.labels for part in parts]), np.concatenate([part.values for part in parts]),
        np.concatenate([part.present for part in parts]), np.concatenate([part.drop_name for part in parts]),
    ).compact().merged()  # fmt: skip


def _fraction(evaluator: Evaluator, node: ast.Call) -> Vector:
    low, high = evaluator.scalar(node.args[0]), evaluator.scalar(node.args[1])
    both = _Both(evaluator, evaluator.vector(node.args[2]), node.args[2])
    native = None
    if both.native is not None:
        hits = np.zeros(both.native.labels.n, bool)
        series, _, _, _ = both.native.cells()

        def read(pool: Histograms, step: Ints) -> Floats:
            found = histogram_reads.fraction(pool, low.values[step], high.values[step])
            hits[series[found.nan_skewed]] = True
            return found.values

        native = _numbers(both.native, read)
        evaluator.notes.series("fraction_nan", both.native.labels, hits, node.args[0])
    classic = functions_histogram.fraction(both.classic, low, high) if both.classic.bound.size else None
    return both.joined(classic, native)


def _plain(function: Callable[[Histograms], Floats]) -> Callable[[Evaluator, ast.Call], Vector]:
    def call(evaluator: Evaluator, node: ast.Call) -> Vector:
        vector = evaluator.vector(node.args[0])
        if vector.rows is None:
            return replace(vector, present=np.zeros_like(vector.present)).compact()
        with np.errstate(all="ignore"):
            return _numbers(vector, lambda pool, _: function(pool)).compact()

    return call


CALLS: Final[dict[str, Callable[[Evaluator, ast.Call], Vector]]] = {
    "histogram_quantile": _quantile,
    "histogram_quantiles": _quantiles,
    "histogram_fraction": _fraction,
    "histogram_count": _plain(lambda pool: pool.count),
    "histogram_sum": _plain(lambda pool: pool.sum),
    "histogram_avg": _plain(lambda pool: pool.sum / pool.count),
    "histogram_stdvar": _plain(histogram_reads.variance),
    "histogram_stddev": _plain(lambda pool: np.sqrt(histogram_reads.variance(pool))),
}
"""Functions of histograms by name."""
