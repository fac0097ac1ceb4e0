"""Function calls: evaluates the arguments, hands them to the function, notes what the reader should know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import ast, functions_histogram, functions_instant, functions_label
from workbench.query.promql.ast import Node
from workbench.query.promql.functions_range import RANGE, apply_range
from workbench.query.promql.values import NAME, Bools, Labels, Ranges, Scalar, Text, Value, Vector
from workbench.signals.names import to_prometheus

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["call"]


def call(evaluator: Evaluator, node: ast.Call) -> Value:
    """Return the value of a function call, whose name and argument types the parser has checked."""
    name = node.func
    if name in RANGE:
        return _range(evaluator, node)
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


def _range(evaluator: Evaluator, node: ast.Call) -> Vector:
    values = [evaluator.value(arg) for arg in node.args]
    ranges = next(value for value in values if isinstance(value, Ranges))
    params = [value for value in values if isinstance(value, Scalar)]
    if node.func == "quantile_over_time":
        evaluator.notes.quantile(params[0].values, node.args[0])
    return apply_range(node.func, ranges, params)


def _constant(evaluator: Evaluator, value: float) -> Scalar:
    return Scalar(np.full(len(evaluator.steps), value))


def _now(evaluator: Evaluator) -> Scalar:
    return Scalar(evaluator.steps / 1e9)


def _bare(node: Node) -> Node:
    while isinstance(node, ast.Paren):
        node = node.expr
    return node


def _timestamp(evaluator: Evaluator, node: ast.Call) -> Vector:
    """Return when the sample was taken, for a bare selector; else the step."""
    inner = _bare(node.args[0])
    if isinstance(inner, ast.VectorSelector):
        vector = evaluator.instant(inner, times=True)
        return vector.mapped(vector.values)
    vector = evaluator.vector(inner)
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
    labels = _absent_labels(_bare(node.args[0]))
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
        message = "sort is ineffective for range queries since results are always ordered by labels"
        evaluator.notes.warn(message, node)
    vector = evaluator.vector(node.args[0])
    descending = node.func.endswith("_desc")
    if node.func.startswith("sort_by_label"):
        names = _texts(evaluator, node.args[1:])
        return functions_label.sort_by_label(vector, names, descending=descending)
    return functions_instant.sort_values(vector, descending=descending)


def _label_replace(evaluator: Evaluator, node: ast.Call) -> Vector:
    target, template, source, pattern = _texts(evaluator, node.args[1:])
    return functions_label.label_replace(evaluator.vector(node.args[0]), target, template, source, pattern)


def _label_join(evaluator: Evaluator, node: ast.Call) -> Vector:
    target, separator, *sources = _texts(evaluator, node.args[1:])
    return functions_label.label_join(evaluator.vector(node.args[0]), target, separator, sources)


def _note_malformed(evaluator: Evaluator, vector: Vector, node: Node) -> None:
    for name, le in functions_histogram.malformed(vector):
        where = f' for metric name "{name}"' if name else ""
        evaluator.notes.warn(f'bucket label "le" is missing or has a malformed value of "{le}"{where}', node)


def _histogram_quantile(evaluator: Evaluator, node: ast.Call) -> Vector:
    q = evaluator.scalar(node.args[0])
    evaluator.notes.quantile(q.values, node.args[0])
    vector = evaluator.vector(node.args[1])
    _note_malformed(evaluator, vector, node.args[1])
    result, repaired = functions_histogram.quantile(vector, q)
    for row in np.flatnonzero(repaired):
        name = result.labels.column(NAME)[row]
        where = f' for metric name "{name}"' if name else ""
        message = f"input to histogram_quantile needed to be fixed for monotonicity{where}"
        evaluator.notes.inform(message, node.args[1])
    return result


def _histogram_fraction(evaluator: Evaluator, node: ast.Call) -> Vector:
    low, high = evaluator.scalar(node.args[0]), evaluator.scalar(node.args[1])
    vector = evaluator.vector(node.args[2])
    _note_malformed(evaluator, vector, node.args[2])
    return functions_histogram.fraction(vector, low, high)


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
    "histogram_quantile": _histogram_quantile,
    "histogram_fraction": _histogram_fraction,
}
