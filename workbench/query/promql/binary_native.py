"""Binary operations where native histograms take part: which combinations mean something, and what they give.

A histogram may be multiplied with a number, divided by one and trimmed at one; two may be added, subtracted and compared
for equality. Everything else gives nothing, and a remark.

References
----------
Prometheus documentation, "Operators".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from workbench.query.promql import ast
from workbench.query.promql.histogram_math import Terms, combine, equal, folded_hints, scaled
from workbench.query.promql.histogram_trim import trim
from workbench.query.promql.notes import Notes
from workbench.query.promql.values import Bools, Floats, Ints
from workbench.signals import Histograms, concat_histograms
from workbench.signals.histograms import GAUGE

__all__ = ["Cells", "Side", "operate"]

_WITH_NUMBER: Final = ("*", "/", "</", ">/")
_BOTH: Final = ("+", "-", "==", "!=")


class Side(NamedTuple):
    """One side of an operation: numbers, and rows of a pool where there are histograms, -1 elsewhere."""

    values: Floats
    rows: Ints
    pool: Histograms | None


class Cells(NamedTuple):
    """What the operation leaves: where there is a value, rows of a pool for histograms; where two were compared."""

    present: Bools
    rows: Ints
    pool: Histograms | None
    both: Bools
    equal: Bools


def operate(node: ast.Binary, left: Side, right: Side, present: Bools, notes: Notes) -> Cells:
    """Return which values an operation has, and its histograms; of pairs of numbers it only says that they stay."""
    on_left, on_right = present & (left.rows >= 0), present & (right.rows >= 0)
    both, number = on_left & on_right, present & ~on_left & ~on_right
    cases = (
        ("float", "float", number, node.op not in ("</", ">/")),
        ("float", "histogram", on_right & ~on_left, node.op == "*"),
        ("histogram", "float", on_left & ~on_right, node.op in _WITH_NUMBER),
        ("histogram", "histogram", both, node.op in _BOTH),
    )
    keep = present.copy()
    for first, second, where, allowed in cases:
        if not allowed and where.any():
            keep &= ~where
            notes.inform(
                f'incompatible sample types encountered for binary operator "{node.op}": {first} {node.op} {second}',
                node,
            )
    rows = np.full(present.shape, -1, np.int64)
    made = []
    for where, side, other in ((on_left & ~on_right & keep, left, right), (on_right & ~on_left & keep, right, left)):
        if where.any() and side.pool is not None:
            at = np.nonzero(where)
            made.append((at, _with_number(node.op, side.pool.take(side.rows[at]), other.values[at])))
    same = np.zeros(present.shape, bool)
    if (both & keep).any() and left.pool is not None and right.pool is not None:
        at = np.nonzero(both & keep)
        pool = concat_histograms([left.pool.take(left.rows[at]), right.pool.take(right.rows[at])])
        n = len(at[0])
        if node.op in ("==", "!="):
            pool = pool.compact()
            same[at] = equal(pool, np.arange(n), n + np.arange(n))
            made.append((at, pool.take(np.arange(n))))
        else:
            good, result = _sum(node, pool, n, notes)
            keep[at] = good
            chosen = np.flatnonzero(good)
            made.append(((at[0][chosen], at[1][chosen]), result.take(chosen)))
    shift = 0
    for at, pool in made:
        rows[at] = shift + np.arange(len(pool))
        shift += len(pool)
    held = concat_histograms([pool for _, pool in made]) if made else None
    return Cells(keep, rows, held, both & keep, same)


def _with_number(op: str, pool: Histograms, number: Floats) -> Histograms:
    if op in ("</", ">/"):
        return trim(pool, number, above=op == "</")
    return scaled(pool, number, divide=op == "/")


def _sum(node: ast.Binary, pool: Histograms, n: int, notes: Notes) -> tuple[Bools, Histograms]:
    """Return which of n sums or differences of histograms i and n + i there are, and all of them."""
    rows = np.stack([np.arange(n), n + np.arange(n)], axis=1).ravel()
    minus = node.op == "-"
    terms = Terms(rows, np.repeat(np.arange(n), 2), np.tile([1.0, -1.0 if minus else 1.0], n), n)
    done = combine(pool, terms)
    hint, collided = folded_hints(pool, terms)
    collided &= ~done.mixed
    operation = "subtraction" if minus else "addition"
    if done.mixed.any():
        notes.warn(f"incompatible bucket layout encountered for binary operator {node.op}", node)
    if collided.any():
        notes.collided(operation, node)
    if (done.reconciled & ~done.mixed & ~collided).any():
        notes.reconciled(operation, node)
    hint = np.full(n, GAUGE, np.int8) if minus else hint
    return ~done.mixed & ~collided, replace(done.pool, hint=hint)
