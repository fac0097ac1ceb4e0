"""Function calls: evaluates the arguments, hands them to the function, notes what the reader should know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import (
    ast,
    calls_histogram,
    calls_range,
    functions_info,
    functions_instant,
    functions_label,
    sampling,
)
from workbench.query.promql.ast import Node
from workbench.query.promql.functions_range import RANGE
from workbench.query.promql.ranges import Ranges, Value
from workbench.query.promql.values import Bools, Labels, Scalar, Text, Vector
from workbench.signals.names import to_prometheus

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["call"]


def call(evaluator: Evaluator, node: ast.Call) -> Value:
    """Return the value of a function call, whose name and argument types the parser has checked."""
    name = node.func
    if name in RANGE:
        return calls_range.call(evaluator, node)
    if name in calls_histogram.CALLS:
        return calls_histogram.CALLS[name](evaluator, node)
    if name in functions_instant.ELEMENTWISE:
        params = [evaluator.scalar(arg) for arg in node.args[1:]]
        return functions_instant.apply_elementwise(name, evaluator.vector(node.args[0]), params)
    if name in functions_instant.CALENDAR:
        vector = evaluator.vector(node.args[0]) if node.args else functions_instant.of_scalar(_now(evaluator))
        return functions_instant.apply_calendar(name, vector)
    if name in functions_instant.SCALARS:
        values = [evaluator.scalar(arg).values for arg in node.args]
        return Scalar(functions_instant.SCALARS[name](*values))
    return _OTHERS[name](evaluator, node)


def _constant(evaluator: Evaluator, value: float) -> Scalar:
    return Scalar(np.full(len(evaluator.steps), value))


def _now(evaluator: Evaluator) -> Scalar:
    return Scalar(evaluator.steps / 1e9)


def _timestamp(evaluator: Evaluator, node: ast.Call) -> Vector:
    """Return when the sample was taken, for a bare selector; else the step."""
    inner = ast.bare(node.args[0])
    if isinstance(inner, ast.VectorSelector) and not inner.mode:
        vector = sampling.instant(evaluator, inner, times=True)
        return vector.mapped(vector.values)
    vector = replace(evaluator.vector(inner), rows=None, pool=None)
    return vector.mapped(np.broadcast_to(_now(evaluator).values, vector.values.shape))


def _absent(evaluator: Evaluator, node: ast.Call) -> Vector:
    """Return 1 where there is nothing, labelled by the equality matchers."""
    value = evaluator.value(node.args[0])
    if isinstance(value, Ranges):
        nothing: Bools = np.asarray(~(value.high > value.low).any(axis=0))
    elif isinstance(value, Vector):
        nothing = np.asarray(~value.present.any(axis=0))
    else:
        raise QueryError(f"{node.func} needs a vector.")
    labels = _absent_labels(ast.bare(node.args[0]))
    return Vector.build(labels, np.ones((1, len(nothing))), nothing[None, :]).compact()


def _absent_labels(node: Node) -> Labels:
    selector = node.vector if isinstance(node, ast.MatrixSelector) else node
    if not isinstance(selector, ast.VectorSelector):
        return Labels(1, {})
    matchers = [m for m in selector.matchers if m.name != "metric"]
    names = [m.name for m in matchers]
    found = {m.name: m.value for m in matchers if m.op == "=" and names.count(m.name) == 1 and m.value}
    return Labels(1, {to_prometheus(name): np.array([value], object) for name, value in found.items()})


def _texts(evaluator: Evaluator, nodes: Sequence[Node]) -> list[str]:
    values = [evaluator.value(node) for node in nodes]
    return [value.value for value in values if isinstance(value, Text)]


def _sort(evaluator: Evaluator, node: ast.Call) -> Vector:
    if len(evaluator.steps) > 1:
        evaluator.notes.sorting(node)
    vector = evaluator.vector(node.args[0])
    descending = node.func.endswith("_desc")
    if node.func.startswith("sort_by_label"):
        names = _texts(evaluator, node.args[1:])
        return functions_label.sort_by_label(vector, names, descending=descending)
    return functions_instant.sort_values(vector, descending=descending)


def _label_replace(evaluator: Evaluator, node: ast.Call) -> Vector:
    target, template, source, pattern = _texts(evaluator, node.args[1:])
    vector = evaluator.vector(node.args[0])
    legacy = evaluator.query.closed
    return functions_label.label_replace(vector, target, template, source, pattern, legacy=legacy)


def _label_join(evaluator: Evaluator, node: ast.Call) -> Vector:
    target, separator, *sources = _texts(evaluator, node.args[1:])
    vector = evaluator.vector(node.args[0])
    return functions_label.label_join(vector, target, separator, sources, legacy=evaluator.query.closed)


_OTHERS: dict[str, Callable[[Evaluator, ast.Call], Value]] = {
    "time": lambda e, _: _now(e),
    "pi": lambda e, _: _constant(e, np.pi),
    "start": lambda e, _: _constant(e, e.query.start / 1e9),
    "end": lambda e, _: _constant(e, e.query.end / 1e9),
    "step": lambda e, _: _constant(e, e.query.step / 1e9),
    "range": lambda e, _: _constant(e, (e.query.end - e.query.start) / 1e9),
    "scalar": lambda e, node: functions_instant.to_scalar(e.vector(node.args[0])),
    "vector": lambda e, node: functions_instant.of_scalar(e.scalar(node.args[0])),
    "timestamp": _timestamp,
    **dict.fromkeys(("absent", "absent_over_time"), _absent),
    **dict.fromkeys(("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"), _sort),
    "label_replace": _label_replace,
    "label_join": _label_join,
    "info": functions_info.info,
}
