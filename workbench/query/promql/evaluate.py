"""Evaluation of a parsed expression: a walk over the tree in which every node gives one block for all steps.

Semantics are those of Prometheus 3: windows and the lookback are left-open, `(t - range, t]`; a stale marker ends a
series at once; metric names are dropped at the end of the evaluation (what Prometheus calls delayed name removal), so
that `label_replace` still sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr

from workbench.errors import LimitExceeded, QueryError
from workbench.query.promql import aggregate, ast, functions_histogram, functions_instant, functions_label
from workbench.query.promql.ast import Node
from workbench.query.promql.binary import binary
from workbench.query.promql.functions_range import RANGE, apply_range
from workbench.query.promql.parser import parse
from workbench.query.promql.values import Ints, Labels, Ranges, Scalar, Text, Value, Vector
from workbench.query.promql.windows import positions
from workbench.signals import Matcher, Samples, build_metrics
from workbench.signals.names import to_prometheus
from workbench.signals.samples import is_stale

__all__ = ["DEFAULT_LIMIT", "LOOKBACK", "Selector", "evaluate", "evaluate_value"]

LOOKBACK = 300 * 10**9
"""How old the newest sample of an instant selector may be, nanoseconds."""

DEFAULT_LIMIT = 20_000_000
"""Most series x steps of any one block."""

_SUBQUERY_STEP = 60 * 10**9


class Selector(Protocol):
    """Anything that selects samples by label matchers: a store, or samples in memory."""

    def select(
        self, matchers: Sequence[Matcher], start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Samples:
        """Return the samples in `[start, end)` of every series that satisfies all matchers."""
        ...


def evaluate(
    selector: Selector,
    expr: str,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    *,
    limit: int = DEFAULT_LIMIT,
) -> xr.DataArray:
    """Return the value of a PromQL expression at every step from `start` to `end`, both included.

    Parameters
    ----------
    selector : Selector
    expr : str
        An expression that gives an instant vector or a scalar.
    start, end : datetime64
    step : timedelta64
        Greater than zero; with `start == end` there is one step and any step will do.
    limit : int
        Most series x steps of any one block.

    Returns
    -------
    DataArray, dims ("series", "time")
        Rows sorted by labels (by value for one step of `sort`, `topk` and the like); NaN where there is no value.

    Raises
    ------
    QueryError
        If the expression cannot be understood, or its series cannot be matched.
    LimitExceeded
        If a block would have more than `limit` cells; raised before the memory is taken.
    """
    steps, value = evaluate_value(selector, expr, start, end, step, limit=limit)
    if isinstance(value, Scalar):
        value = functions_instant.of_scalar(value)
    if not isinstance(value, Vector):
        found = "a string" if isinstance(value, Text) else "a range vector"
        raise QueryError(f"the expression gives {found}; it must give an instant vector or a scalar", expr, 0)
    if not value.ordered:
        value = value.take(value.labels.order())
    data = np.where(value.present, value.values, np.nan)
    return build_metrics(data, steps.astype("datetime64[ns]"), value.labels.frame())


def evaluate_value(
    selector: Selector,
    expr: str,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    *,
    limit: int = DEFAULT_LIMIT,
) -> tuple[Ints, Value]:
    """Return the steps (int64 nanoseconds) and the value with its presence mask; arguments as of `evaluate`."""
    node = parse(expr)
    first, last = (int(np.datetime64(t, "ns").astype(np.int64)) for t in (start, end))
    width = int(np.timedelta64(step, "ns").astype(np.int64))
    if width <= 0 and first != last:
        raise QueryError(f"the step is {step}; it must be longer than zero.")
    if last < first:
        raise QueryError(f"the range ends at {end}, before it starts at {start}.")
    count = 1 if first == last else (last - first) // width + 1
    if count > limit:
        raise LimitExceeded(f"the query has {count} steps; at most {limit} cells are allowed: choose a longer step.")
    steps = first + np.arange(count, dtype=np.int64) * width
    value = Evaluator(selector, steps, first, int(steps[-1]), limit).value(node)
    return steps, value.finished() if isinstance(value, Vector) else value


@dataclass(frozen=True)
class Evaluator:
    """One walk over a tree at given steps; `start` and `end` are those of the whole query."""

    selector: Selector
    steps: Ints
    start: int
    end: int
    limit: int

    def value(self, node: Node) -> Value:
        """Return what a node evaluates to."""
        return _NODES[type(node)](self, node)

    def vector(self, node: Node) -> Vector:
        """Return a node's value, which the parser has seen to be an instant vector."""
        value = self.value(node)
        if not isinstance(value, Vector):
            raise QueryError(f"expected an instant vector, got {type(value).__name__.lower()}.")
        return value

    def scalar(self, node: Node) -> Scalar:
        """Return a node's value, which the parser has seen to be a scalar."""
        value = self.value(node)
        if not isinstance(value, Scalar):
            raise QueryError(f"expected a scalar, got {type(value).__name__.lower()}.")
        return value

    def check(self, series: int) -> None:
        """Raise `LimitExceeded` if a block of this many series would be too large."""
        cells = series * len(self.steps)
        if cells > self.limit:
            raise LimitExceeded(
                f"the query needs {series} series x {len(self.steps)} steps = {cells} cells; at most {self.limit} are"
                " allowed: narrow the selectors, choose a longer step or a shorter range."
            )

    def moments(self, offset: int, at: ast.At) -> Ints:
        """Return the instants a selector looks at, one per step."""
        fixed = {"start": self.start, "end": self.end}.get(at, at) if isinstance(at, str) else at
        base = self.steps if fixed is None else np.full(len(self.steps), fixed, np.int64)
        return base - offset

    def samples(self, matchers: Sequence[Matcher], moments: Ints, back: int) -> Samples:
        """Return the samples a selector may need, checked against the limit."""
        low, high = int(moments[0]) - back + 1, int(moments[-1]) + 1
        found = self.selector.select(list(matchers), np.datetime64(low, "ns"), np.datetime64(high, "ns"))
        self.check(len(found))
        return found

    def number(self, node: ast.Number) -> Scalar:
        """Evaluate a number."""
        return Scalar(np.full(len(self.steps), node.value))

    def string(self, node: ast.String) -> Text:
        """Evaluate a string."""
        return Text(node.value)

    def paren(self, node: ast.Paren) -> Value:
        """Evaluate what stands in parentheses."""
        return self.value(node.expr)

    def unary(self, node: ast.Unary) -> Value:
        """Evaluate a sign."""
        value = self.value(node.expr)
        if node.op == "+" or not isinstance(value, Scalar | Vector):
            return value
        return Scalar(-value.values) if isinstance(value, Scalar) else value.mapped(-value.values)

    def instant(self, node: ast.VectorSelector, *, times: bool = False) -> Vector:
        """Evaluate an instant selector: the newest sample of the lookback, or with `times` when it was taken."""
        moments = self.moments(node.offset, node.at)
        samples = self.samples(node.matchers, moments, LOOKBACK)
        time = samples.time.view(np.int64)
        last = positions(time, samples.offsets, moments) - 1
        inside = last >= samples.offsets[:-1, None]
        last = np.maximum(last, 0)
        if samples.n_samples == 0:
            return Vector.build(Labels.of_samples(samples), np.zeros(last.shape), np.zeros(last.shape, bool)).compact()
        present = inside & (time[last] > moments - LOOKBACK) & ~is_stale(samples.value)[last]
        values = time[last] / 1e9 if times else samples.value[last]
        return Vector.build(Labels.of_samples(samples), np.where(present, values, np.nan), present).compact()

    def range(self, node: ast.MatrixSelector) -> Ranges:
        """Evaluate a range selector."""
        moments = self.moments(node.vector.offset, node.vector.at)
        samples = self.samples(node.vector.matchers, moments, node.range)
        live = ~is_stale(samples.value)
        offsets = np.concatenate([[0], np.cumsum(live)])[samples.offsets].astype(np.int64)
        labels = Labels.of_samples(samples)
        time, value = samples.time.view(np.int64)[live], samples.value[live]
        return self.windows(labels, time, value, offsets, moments, node.range, np.zeros(labels.n, bool))

    def windows(
        self, labels: Labels, time: Ints, value: Any, offsets: Ints, moments: Ints, length: int, drop_name: Any
    ) -> Ranges:
        """Return ragged samples with the window of every series and step."""
        begin = moments - length
        low, high = positions(time, offsets, begin), positions(time, offsets, moments)
        return Ranges(labels, time, value, offsets, low, high, begin, moments, self.steps, drop_name)

    def subquery(self, node: ast.Subquery) -> Ranges:
        """Evaluate an expression at absolute multiples of the subquery's step, as samples of a range."""
        moments = self.moments(node.offset, node.at)
        step = node.step or _SUBQUERY_STEP
        first = ((int(moments[0]) - node.range) // step + 1) * step
        count = max((int(moments[-1]) - first) // step + 1, 0)
        if count > self.limit:
            raise LimitExceeded(f"the subquery has {count} steps; at most {self.limit} are allowed: use a longer step.")
        inner = replace(self, steps=first + np.arange(max(count, 1), dtype=np.int64) * step)
        value = inner.value(node.expr)
        vector = functions_instant.of_scalar(value) if isinstance(value, Scalar) else value
        if not isinstance(vector, Vector):
            raise QueryError("a subquery must be over an instant vector or a scalar.")
        row, at = np.nonzero(vector.present if count else np.zeros_like(vector.present))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=vector.labels.n))]).astype(np.int64)
        return self.windows(
            vector.labels, inner.steps[at], vector.values[row, at], offsets, moments, node.range, vector.drop_name
        )

    def aggregation(self, node: ast.Aggregate) -> Vector:
        """Evaluate an aggregation."""
        vector = self.vector(node.expr)
        if node.param is None:
            return aggregate.aggregate(node.op, vector, node.grouping, without=node.without)
        if node.op == "count_values":
            label = self.value(node.param)
            name = label.value if isinstance(label, Text) else ""
            return aggregate.count_values(vector, node.grouping, name, without=node.without)
        param = self.scalar(node.param).values
        if node.op == "quantile":
            return aggregate.quantile(vector, node.grouping, param, without=node.without)
        return aggregate.top(vector, node.grouping, param, largest=node.op == "topk", without=node.without)

    def binary(self, node: ast.Binary) -> Value:
        """Evaluate a binary operation."""
        left, right = self.value(node.left), self.value(node.right)
        if not isinstance(left, Scalar | Vector) or not isinstance(right, Scalar | Vector):
            raise QueryError(f"both sides of {node.op!r} must be scalars or instant vectors.")
        return binary(node, left, right, self.limit)

    def call(self, node: ast.Call) -> Value:
        """Evaluate a function call."""
        name = node.func
        if name in RANGE:
            values = [self.value(arg) for arg in node.args]
            ranges = next(v for v in values if isinstance(v, Ranges))
            return apply_range(name, ranges, [v for v in values if isinstance(v, Scalar)])
        if name in functions_instant.ELEMENTWISE:
            return functions_instant.apply_elementwise(name, self.vector(node.args[0]), [self.scalar(a) for a in node.args[1:]])
        if name in functions_instant.CALENDAR:
            vector = self.vector(node.args[0]) if node.args else functions_instant.of_scalar(self.now())
            return functions_instant.apply_calendar(name, vector)
        return _CALLS[name](self, *node.args)

    def now(self) -> Scalar:
        """Return the time of every step in seconds."""
        return Scalar(self.steps / 1e9)

    def timestamp(self, node: Node) -> Vector:
        """Evaluate `timestamp`: when the sample was taken, for a bare selector; else the step."""
        inner = node
        while isinstance(inner, ast.Paren):
            inner = inner.expr
        if isinstance(inner, ast.VectorSelector):
            vector = self.instant(inner, times=True)
            return vector.mapped(vector.values)
        vector = self.vector(node)
        return vector.mapped(np.broadcast_to(self.now().values, vector.values.shape))

    def absent(self, node: Node) -> Vector:
        """Evaluate `absent` and `absent_over_time`: 1 where there is nothing, labelled by the equality matchers."""
        value = self.value(node)
        if isinstance(value, Ranges):
            nothing = ~(value.high > value.low).any(axis=0)
        elif isinstance(value, Vector):
            nothing = ~value.present.any(axis=0)
        else:
            raise QueryError("absent needs a vector.")
        return Vector.build(_absent_labels(node), np.ones((1, len(nothing))), nothing[None, :]).compact()

    def texts(self, nodes: Sequence[Node]) -> list[str]:
        """Return the strings a call was given."""
        values = [self.value(node) for node in nodes]
        return [value.value for value in values if isinstance(value, Text)]


def _absent_labels(node: Node) -> Labels:
    while isinstance(node, ast.Paren):
        node = node.expr
    selector = node.vector if isinstance(node, ast.MatrixSelector) else node
    if not isinstance(selector, ast.VectorSelector):
        return Labels(1, {})
    matchers = [m for m in selector.matchers if m.name != "metric"]
    names = [m.name for m in matchers]
    found = {m.name: m.value for m in matchers if m.op == "=" and names.count(m.name) == 1 and m.value}
    return Labels(1, {to_prometheus(name): np.array([value], object) for name, value in found.items()})


_NODES: dict[type, Callable[[Evaluator, Any], Value]] = {
    ast.Number: Evaluator.number,
    ast.String: Evaluator.string,
    ast.Paren: Evaluator.paren,
    ast.Unary: Evaluator.unary,
    ast.VectorSelector: Evaluator.instant,
    ast.MatrixSelector: Evaluator.range,
    ast.Subquery: Evaluator.subquery,
    ast.Aggregate: Evaluator.aggregation,
    ast.Binary: Evaluator.binary,
    ast.Call: Evaluator.call,
}

_CALLS: dict[str, Callable[..., Value]] = {
    "time": lambda e: e.now(),
    "pi": lambda e: Scalar(np.full(len(e.steps), np.pi)),
    "scalar": lambda e, v: functions_instant.to_scalar(e.vector(v)),
    "vector": lambda e, s: functions_instant.of_scalar(e.scalar(s)),
    "timestamp": lambda e, v: e.timestamp(v),
    "absent": lambda e, v: e.absent(v),
    "absent_over_time": lambda e, v: e.absent(v),
    "sort": lambda e, v: functions_instant.sort_values(e.vector(v), descending=False),
    "sort_desc": lambda e, v: functions_instant.sort_values(e.vector(v), descending=True),
    "sort_by_label": lambda e, v, *names: functions_label.sort_by_label(e.vector(v), e.texts(names), descending=False),
    "sort_by_label_desc": lambda e, v, *names: functions_label.sort_by_label(e.vector(v), e.texts(names), descending=True),
    "label_replace": lambda e, v, *texts: functions_label.label_replace(e.vector(v), *e.texts(texts)),
    "label_join": lambda e, v, target, separator, *sources: functions_label.label_join(
        e.vector(v), *e.texts([target, separator]), e.texts(sources)
    ),
    "histogram_quantile": lambda e, q, v: functions_histogram.quantile(e.vector(v), e.scalar(q)),
    "histogram_fraction": lambda e, low, high, v: functions_histogram.fraction(e.vector(v), e.scalar(low), e.scalar(high)),
}
