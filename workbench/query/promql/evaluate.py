"""Evaluation of a parsed expression: a walk over the tree in which every node gives one block for all steps.

Semantics are those of Prometheus 3: windows and the lookback are left-open, `(t - range, t]`; a stale marker ends a
series at once; metric names are dropped at the end of the evaluation (what Prometheus calls delayed name removal), so
that `label_replace` still sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr

from workbench.errors import LimitExceeded, QueryError
from workbench.query.promql import aggregate, ast, calls, functions_instant
from workbench.query.promql.ast import Node
from workbench.query.promql.binary import binary
from workbench.query.promql.notes import Notes
from workbench.query.promql.parser import parse
from workbench.query.promql.values import Ints, Labels, Ranges, Scalar, Text, Value, Vector
from workbench.query.promql.windows import positions
from workbench.signals import Matcher, Samples, build_metrics
from workbench.signals.samples import is_stale

__all__ = ["DEFAULT_LIMIT", "LOOKBACK", "Answer", "Evaluator", "QueryRange", "Selector", "evaluate", "evaluate_value"]

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
        `attrs["notes"]` holds the warnings and remarks of the evaluation, if any, as Prometheus words them.

    Raises
    ------
    QueryError
        If the expression cannot be understood, or its series cannot be matched.
    LimitExceeded
        If a block would have more than `limit` cells; raised before the memory is taken.
    """
    steps, value, notes = evaluate_value(selector, expr, start, end, step, limit=limit)
    if isinstance(value, Scalar):
        value = functions_instant.of_scalar(value)
    if not isinstance(value, Vector):
        found = "a string" if isinstance(value, Text) else "a range vector"
        raise QueryError(f"the expression gives {found}; it must give an instant vector or a scalar", expr, 0)
    if not value.ordered:
        value = value.take(value.labels.order())
    data = np.where(value.present, value.values, np.nan)
    attrs = {"notes": notes} if notes else None
    return build_metrics(data, steps.astype("datetime64[ns]"), value.labels.frame(), attrs)


def evaluate_value(
    selector: Selector,
    expr: str,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    *,
    limit: int = DEFAULT_LIMIT,
) -> Answer:
    """Return the value with its presence mask; arguments as of `evaluate`."""
    node = parse(expr)
    first, last = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in (start, end))
    width = int(step.astype("timedelta64[ns]").astype(np.int64))
    if width <= 0 and first != last:
        raise QueryError(f"the step is {step}; it must be longer than zero.")
    if last < first:
        raise QueryError(f"the range ends at {end}, before it starts at {start}.")
    count = 1 if first == last else (last - first) // width + 1
    if count > limit:
        raise LimitExceeded(f"the query has {count} steps; at most {limit} cells are allowed: choose a longer step.")
    steps = first + np.arange(count, dtype=np.int64) * width
    notes = Notes(expr)
    value = Evaluator(selector, steps, QueryRange(first, last, width if count > 1 else 0, limit), notes).value(node)
    return Answer(steps, value.finished() if isinstance(value, Vector) else value, notes.lines())


class Answer(NamedTuple):
    """What an expression evaluates to: the steps (int64 nanoseconds), the value, and notes for the reader."""

    steps: Ints
    value: Value
    notes: list[str]


class QueryRange(NamedTuple):
    """What is the same for the whole query: first and last step, their distance, nanoseconds; most cells of a block."""

    start: int
    end: int
    step: int
    limit: int


@dataclass(frozen=True)
class Evaluator:
    """One walk over a tree at given steps; `query` is the range of the whole query."""

    selector: Selector
    steps: Ints
    query: QueryRange
    notes: Notes

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
        if cells > self.query.limit:
            raise LimitExceeded(
                f"the query needs {series} series x {len(self.steps)} steps = {cells} cells; at most"
                f" {self.query.limit} are allowed: narrow the selectors, choose a longer step or a shorter range."
            )

    def moments(self, offset: int, at: ast.At) -> Ints:
        """Return the instants a selector looks at, one per step."""
        fixed = {"start": self.query.start, "end": self.query.end}.get(at, at) if isinstance(at, str) else at
        base = self.steps if fixed is None else np.full(len(self.steps), fixed, np.int64)
        return base - offset

    def samples(self, matchers: Sequence[Matcher], moments: Ints, back: int) -> Samples:
        """Return the samples a selector may need, checked against the limit."""
        # Nothing is stored from before 1970, so a look back from its first minutes ends there.
        low, high = max(int(moments[0]) - back + 1, 0), max(int(moments[-1]) + 1, 0)
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
        labels = Labels.of_samples(samples)
        time, value, offsets = samples.time.view(np.int64), samples.value, samples.offsets
        stale = is_stale(value)
        if stale.any():
            offsets = np.concatenate([[0], np.cumsum(~stale)])[offsets].astype(np.int64)
            time, value = time[~stale], value[~stale]
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
        if count > self.query.limit:
            raise LimitExceeded(
                f"the subquery has {count} steps; at most {self.query.limit} are allowed: use a longer step."
            )
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
            self.notes.quantile(param, node.param)
            return aggregate.quantile(vector, node.grouping, param, without=node.without)
        return aggregate.top(vector, node.grouping, param, largest=node.op == "topk", without=node.without)

    def binary(self, node: ast.Binary) -> Value:
        """Evaluate a binary operation."""
        left, right = self.value(node.left), self.value(node.right)
        if not isinstance(left, Scalar | Vector) or not isinstance(right, Scalar | Vector):
            raise QueryError(f"both sides of {node.op!r} must be scalars or instant vectors.")
        return binary(node, left, right, self.query.limit)

    def call(self, node: ast.Call) -> Value:
        """Evaluate a function call."""
        return calls.call(self, node)


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
