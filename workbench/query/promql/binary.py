"""Binary operations: arithmetic, comparisons and set operations between scalars and vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import ast, binary_native, matching
from workbench.query.promql.notes import Notes
from workbench.query.promql.parser import TRIMS
from workbench.query.promql.values import METADATA, NAME, Bools, Floats, Scalar, Vector

__all__ = ["binary"]

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
}  # fmt: skip
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def binary(
    node: ast.Binary, left: Scalar | Vector, right: Scalar | Vector, limit: int, notes: Notes, *, legacy: bool = False
) -> Scalar | Vector:
    """Return the result of an operation whose sides are evaluated.

    With `legacy`, as in Prometheus 2, `atan2` keeps names, and what a comparison leaves out is matched with nothing.

    Raises
    ------
    QueryError
        If series cannot be matched one to one, or one to many as the operation says.
    """
    with np.errstate(all="ignore"):
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            return Scalar(_apply(node.op, left.values, right.values))
        if isinstance(left, Vector) and isinstance(right, Vector):
            if node.op in ("and", "or", "unless"):
                return _set_operation(node, left, right)
            return _between_vectors(node, left, right, limit, notes, legacy)
        out = _with_scalar(node, left, right, notes)
        if legacy and node.op == "atan2":
            out = replace(out, drop_name=(left if isinstance(left, Vector) else cast(Vector, right)).drop_name)
        return out


def _apply(op: str, left: Floats, right: Floats) -> Floats:
    function = _ARITHMETIC.get(op) or _COMPARE.get(op)
    if function is None:  # trims have nothing to do with numbers
        return np.broadcast_arrays(left, right)[0].astype(np.float64)
    return np.asarray(function(left, right), np.float64)


def _with_scalar(node: ast.Binary, left: Scalar | Vector, right: Scalar | Vector, notes: Notes) -> Vector:
    vector = left if isinstance(left, Vector) else right
    if not isinstance(vector, Vector):
        raise TypeError("one side must be a vector")
    computed = _apply(node.op, left.values, right.values)
    present = vector.present
    out = vector.numbers()
    if vector.rows is not None or node.op in TRIMS:
        sides = [_side(side, vector.present) for side in (left, right)]
        cells = binary_native.operate(node, sides[0], sides[1], present, notes)
        computed, out = np.where(cells.rows >= 0, 0.0, computed), _with_rows(vector, cells)
        present = cells.present
    if node.op in _COMPARE and not node.bool:
        return replace(out, present=out.present & (computed != 0), ordered=False)
    if node.op in TRIMS:
        return replace(out, present=present, ordered=False)
    drops = np.ones(vector.labels.n, bool)
    return replace(out, values=computed, present=present & out.present, drop_name=drops, ordered=False)


def _side(side: Scalar | Vector, present: Bools) -> binary_native.Side:
    shape = present.shape
    if isinstance(side, Scalar):
        return binary_native.Side(np.broadcast_to(side.values, shape), np.full(shape, -1, np.int64), None)
    rows = np.full(shape, -1, np.int64) if side.rows is None else side.rows
    return binary_native.Side(side.values, rows, side.pool)


def _with_rows(vector: Vector, cells: binary_native.Cells) -> Vector:
    rows, pool = (cells.rows, cells.pool) if cells.pool is not None and len(cells.pool) else (None, None)
    return replace(vector, present=cells.present, rows=rows, pool=pool)


def _between_vectors(node: ast.Binary, left: Vector, right: Vector, limit: int, notes: Notes, legacy: bool) -> Vector:
    matching_ = node.matching
    swapped = matching_.card == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    many_group, one_group, names = matching.signatures(many.labels, one.labels, matching_)
    fills = (matching_.fill_left, matching_.fill_right)
    if fills != (None, None):
        many, one, many_group, one_group = matching.filled(many, one, (many_group, one_group, names), fills)
    pairs = matching.pair(many, one, (many_group, one_group, names), "left" if swapped else "right", limit)
    met = many.take(pairs.many), one.take(pairs.one)
    present = met[0].present & met[1].present
    first, second = (met[1], met[0]) if swapped else met
    computed = _apply(node.op, first.values, second.values)
    cells = None
    if first.rows is not None or second.rows is not None or node.op in TRIMS:
        cells = binary_native.operate(node, _side(first, present), _side(second, present), present, notes)
        computed = np.where(cells.rows >= 0, 0.0, computed)
        if node.op in ("==", "!="):
            computed = np.where(cells.both, cells.equal == (node.op == "=="), computed)
        present = cells.present
    filters = node.op in _COMPARE and not node.bool
    if matching_.card == "one-to-one":
        left_over = present & (computed != 0) if legacy and filters else present
        _check_single(left_over, many_group[pairs.many], names.n)
    labels = matching.result_labels(met[0].labels, met[1].labels, matching_)
    if filters:
        present = present & (computed != 0)
        computed, drops = first.values, met[0].drop_name
    else:
        keeps = node.op in TRIMS or (legacy and node.op == "atan2")
        drops = met[0].drop_name if keeps else np.ones(len(pairs.many), bool)
    if NAME in matching_.include:
        drops = np.zeros(len(pairs.many), bool)
    out = Vector(labels, computed, present, drops)
    if cells is not None and cells.pool is not None and not node.bool:
        out = _with_rows(out, cells._replace(present=present))
    # Names that will go cannot keep two results apart.
    bare = replace(out, labels=labels.drop(METADATA)) if drops.all() and len(drops) else out
    return _grouping_checked(out, bare)


def _grouping_checked(out: Vector, bare: Vector) -> Vector:
    codes, first = bare.labels.groups()
    if len(first) < bare.labels.n and (matching.seen(out.present, codes, len(first)) > 1).any():
        raise QueryError("multiple matches for labels: grouping labels must ensure unique matches")
    return out.merged()


def _check_single(present: Bools, group: Any, groups: int) -> None:
    if (matching.seen(present, group, groups) > 1).any():
        raise QueryError("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")


def _set_operation(node: ast.Binary, left: Vector, right: Vector) -> Vector:
    left_group, right_group, names = matching.signatures(left.labels, right.labels, node.matching)
    on_right = matching.seen(right.present, right_group, names.n) > 0
    if node.op == "and":
        return left.masked(on_right[left_group]).compact()
    if node.op == "unless":
        return left.masked(~on_right[left_group]).compact()
    on_left = matching.seen(left.present, left_group, names.n) > 0
    return matching.stacked([left, right.masked(~on_left[right_group])]).compact()
