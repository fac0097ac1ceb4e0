"""`sum` and `avg` over series some of whose values are native histograms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.query.promql import ast
from workbench.query.promql.functions_native import total_of
from workbench.query.promql.histogram_math import Terms
from workbench.query.promql.values import NAME, Vector

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["total"]


def total(evaluator: Evaluator, node: ast.Aggregate, vector: Vector) -> Vector:
    """Return sums or means per group: of numbers, or of histograms; groups that have both at a step give nothing."""
    from workbench.query.promql.aggregate import aggregate

    numbers = aggregate(node.op, vector.numbers(), node.grouping, without=node.without)
    series, step, rows, pool = vector.cells()
    labels = vector.labels.drop([*node.grouping, NAME]) if node.without else vector.labels.keep(node.grouping)
    codes, first = labels.groups()
    if not len(rows):
        return numbers
    steps = vector.present.shape[1]
    cell = codes[series] * steps + step
    order = np.argsort(cell, kind="stable")
    cells, out = np.unique(cell[order], return_inverse=True)
    terms = Terms(rows[order], out.astype(np.int64), np.ones(len(order)), len(cells))
    done = total_of(pool, terms, average=node.op == "avg")
    group, at = cells // steps, cells % steps
    # Both kinds at one place: the numbers have the same groups in the same order.
    mixed = np.zeros(len(cells), bool)
    if numbers.labels.n:
        mixed = numbers.present[group, at]
    if mixed.any():
        evaluator.notes.warn("encountered a mix of histograms and floats for aggregation", node.expr)
        present = numbers.present.copy()
        present[group[mixed], at[mixed]] = False
        numbers = replace(numbers, present=present)
    bad = np.zeros(vector.labels.n, bool)
    bad[series[order][done.mixed[out]]] = True
    evaluator.notes.series("mixed_buckets", vector.labels, bad, node.expr)
    if (done.aggregated & ~mixed).any():
        evaluator.notes.reconciled("aggregation", node.expr)
    if (done.collided & ~mixed & ~done.mixed).any():
        evaluator.notes.collided("aggregation", node.expr)
    good = np.flatnonzero(~mixed & ~done.mixed)
    shape = (len(first), steps)
    if numbers.labels.n != len(first):
        blank = np.zeros(shape, bool)
        numbers = Vector(labels.take(first), np.full(shape, np.nan), blank, np.zeros(len(first), bool))
    return numbers.with_cells(group[good], at[good], done.pool.take(good)).compact()
