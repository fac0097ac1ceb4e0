"""Binary operations: arithmetic, comparisons and set operations between scalars and vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import ast, matching
from workbench.query.promql.values import NAME, Bools, Floats, Scalar, Vector, distinct

__all__ = ["binary"]

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
}  # fmt: skip
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def binary(node: ast.Binary, left: Scalar | Vector, right: Scalar | Vector, limit: int) -> Scalar | Vector:
    """Return the result of an operation whose sides are evaluated.

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
            return _between_vectors(node, left, right, limit)
        return _with_scalar(node, left, right)


def _apply(op: str, left: Floats, right: Floats) -> Floats:
    function = _ARITHMETIC.get(op) or _COMPARE[op]
    return np.asarray(function(left, right), np.float64)


def _with_scalar(node: ast.Binary, left: Scalar | Vector, right: Scalar | Vector) -> Vector:
    vector = left if isinstance(left, Vector) else right
    if not isinstance(vector, Vector):
        raise TypeError("one side must be a vector")
    computed = _apply(node.op, left.values, right.values)
    if node.op in _COMPARE and not node.bool:
        return replace(vector, present=vector.present & (computed != 0), ordered=False)
    return vector.mapped(computed)


def _between_vectors(node: ast.Binary, left: Vector, right: Vector, limit: int) -> Vector:
    swapped = node.matching.card == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    many_group, one_group, names = matching.signatures(many.labels, one.labels, node.matching)
    pairs = matching.pair(many, one, (many_group, one_group, names), "left" if swapped else "right", limit)
    high, low = many.values[pairs.many], one.values[pairs.one]
    present = many.present[pairs.many] & one.present[pairs.one]
    computed = _apply(node.op, low, high) if swapped else _apply(node.op, high, low)
    drops = np.ones(len(pairs.many), bool)
    if node.op in _COMPARE and not node.bool:
        if node.matching.card == "one-to-one":
            _check_single(present, many_group[pairs.many], names.n)
        present &= computed != 0
        computed = low if swapped else high
        drops = many.drop_name[pairs.many]
    elif node.matching.card == "one-to-one":
        _check_single(present, many_group[pairs.many], names.n)
    labels = matching.result_labels(many.labels.take(pairs.many), one.labels.take(pairs.one), node.matching)
    if NAME in node.matching.include:
        drops = np.zeros(len(pairs.many), bool)
    out = Vector(labels, computed, present, drops)
    # Names that will go cannot keep two results apart.
    bare = replace(out, labels=labels.drop([NAME])) if drops.all() and len(drops) else out
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
        return replace(left, present=left.present & on_right[left_group], ordered=False).compact()
    if node.op == "unless":
        return replace(left, present=left.present & ~on_right[left_group], ordered=False).compact()
    on_left = matching.seen(left.present, left_group, names.n) > 0
    extra = right.present & ~on_left[right_group]
    return Vector(
        distinct([left.labels, right.labels]),
        np.concatenate([left.values, right.values]),
        np.concatenate([left.present, extra]),
        np.concatenate([left.drop_name, right.drop_name]),
    ).compact()
