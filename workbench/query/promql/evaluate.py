"""Evaluation of a parsed expression: a walk over the tree in which every node gives one block for all steps.

Semantics are those of Prometheus 3: windows and the lookback are left-open, `(t - range, t]`; a stale marker ends a
series at once; metric names are dropped at the end of the evaluation (what Prometheus calls delayed name removal), so
that `label_replace` still sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import xarray as xr

from workbench.errors import InvalidInput, LimitExceeded, QueryError
from workbench.query.promql import aggregate, ast, calls, durations, functions_instant, sampling
from workbench.query.promql.ast import Node
from workbench.query.promql.binary import binary
from workbench.query.promql.histogram_math import scaled
from workbench.query.promql.notes import Notes
from workbench.query.promql.parser import parse
from workbench.query.promql.ranges import Ranges, Value
from workbench.query.promql.values import Ints, Scalar, Text, Vector
from workbench.signals import Matcher, Samples, build_metrics

__all__ = [
    "DEFAULT_LIMIT",
    "LOOKBACK",
    "Answer",
    "Evaluator",
    "Limits",
    "QueryRange",
    "Selector",
    "evaluate",
    "evaluate_value",
]

LOOKBACK = 300 * 10**9
"""How old the newest sample of an instant selector may be, nanoseconds."""

DEFAULT_LIMIT = 20_000_000
"""Most series x steps of any one block."""


class Limits(NamedTuple):
    """Most series and samples that all selectors of a query may touch together."""

    series: int = 500_000
    samples: int = 50_000_000


class Selector(Protocol):
    """Anything that selects samples by label matchers: a store, or samples in memory."""

    def select(
        self, matchers: Sequence[Matcher], start: np.datetime64 | None = None, end: np.datetime64 | None = None
    ) -> Samples:
        """Return the samples in `[start, end)` of every series that satisfies all matchers.

        A selector may have a method `count` with the same arguments that tells the number of series and of samples
        without reading them. Its `select` then takes `check`, which is told both before anything is read, so that a
        query that would be too large is refused by then.
        """
        ...


def evaluate(
    selector: Selector,
    expr: str,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    *,
    limit: int = DEFAULT_LIMIT,
    limits: Limits | None = None,
    semantics: Literal["2", "3"] = "3",
    lookback: np.timedelta64 | None = None,
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
    limits : Limits, optional
        Most series and samples touched; the settings `query.max_series` and `query.max_samples` unless given.
    semantics : str
        "3", or "2" for ranges and lookback that are closed at both ends as Prometheus 2 has them.
    lookback : timedelta64, optional
        How old the newest sample of an instant selector may be; five minutes.

    Returns
    -------
    DataArray, dims ("series", "time")
        Rows sorted by labels (by value for one step of `sort`, `topk` and the like); NaN where there is no value.
        `attrs["notes"]` holds the warnings and remarks of the evaluation, if any, as Prometheus words them. Native
        histograms are no numbers: they are NaN in the array, and `attrs["histograms"]` holds them, with the row of each
        cell, -1 for none, in `attrs["histogram_rows"]`, shape (series, time).

    Raises
    ------
    QueryError
        If the expression cannot be understood, or its series cannot be matched.
    LimitExceeded
        If a block would have more than `limit` cells, or more series or samples would be touched than `limits` allow;
        raised before the memory is taken.
    """
    steps, value, notes = evaluate_value(
        selector, expr, start, end, step, limit=limit, limits=limits, semantics=semantics, lookback=lookback
    )
    if isinstance(value, Scalar):
        value = functions_instant.of_scalar(value)
    if not isinstance(value, Vector):
        found = "a string" if isinstance(value, Text) else "a range vector"
        raise QueryError(f"the expression gives {found}; it must give an instant vector or a scalar", expr, 0)
    if not value.ordered:
        value = value.take(value.labels.order())
    data = np.where(value.present, value.values, np.nan)
    attrs: dict[str, Any] = {"notes": notes} if notes else {}
    if value.rows is not None and value.histogram.any():
        data[value.histogram] = np.nan
        series, at, rows, pool = value.cells()
        held = np.full(data.shape, -1, np.int64)
        held[series, at] = np.arange(len(rows))
        attrs |= {"histograms": pool.take(rows), "histogram_rows": held}
    return build_metrics(data, steps.astype("datetime64[ns]"), value.labels.frame(), attrs or None)


def evaluate_value(
    selector: Selector,
    expr: str,
    start: np.datetime64,
    end: np.datetime64,
    step: np.timedelta64,
    *,
    limit: int = DEFAULT_LIMIT,
    limits: Limits | None = None,
    semantics: Literal["2", "3"] = "3",
    lookback: np.timedelta64 | None = None,
) -> Answer:
    """Return the value with its presence mask; arguments as of `evaluate`."""
    if semantics not in ("2", "3"):
        raise InvalidInput(f"semantics {semantics!r} is not known: use '3', or '2' for closed ranges.")
    node = parse(expr, legacy=semantics == "2")
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
    width = width if first != last else 0
    node = durations.resolve(node, expr, width, last - first)
    back = LOOKBACK if lookback is None else int(lookback.astype("timedelta64[ns]").astype(np.int64))
    most = _settings() if limits is None else limits
    query = QueryRange(first, last, width, limit, back, semantics == "2", Budget(most))
    notes = Notes(expr)
    value = Evaluator(selector, steps, query, notes).value(node)
    return Answer(steps, value.finished() if isinstance(value, Vector) else value, notes.lines())


def _settings() -> Limits:
    from workbench import settings

    table = settings.load()
    return Limits(table["query.max_series"], table["query.max_samples"])


class Answer(NamedTuple):
    """What an expression evaluates to: the steps (int64 nanoseconds), the value, and notes for the reader."""

    steps: Ints
    value: Value
    notes: list[str]


class Budget:
    """What a query may still touch."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.series = self.samples = 0

    def check(self, series: int, samples: int, *, spend: bool) -> None:
        """Raise `LimitExceeded` if so many more series or samples are too many; with `spend` they are touched now."""
        for what, now, most in (
            ("series", self.series + series, self.limits.series),
            ("samples", self.samples + samples, self.limits.samples),
        ):
            if now > most:
                raise LimitExceeded(
                    f"the query touches {now} {what}; at most {most} are allowed: narrow the selectors or the time, or"
                    f" raise query.max_{what}."
                )
        if spend:
            self.series += series
            self.samples += samples


class QueryRange(NamedTuple):
    """What is the same for the whole query.

    First and last step and their distance, nanoseconds; most cells of a block; lookback, nanoseconds; whether ranges
    are closed at both ends; what may still be touched.
    """

    start: int
    end: int
    step: int
    limit: int
    lookback: int
    closed: bool
    budget: Budget

    def check(self, series: int, samples: int, *, spend: bool = True) -> None:
        """Raise `LimitExceeded` if so many more series or samples are too many."""
        self.budget.check(series, samples, spend=spend)


@dataclass(frozen=True)
class Evaluator:
    """One walk over a tree at given steps; `query` is the range of the whole query."""

    selector: Selector
    steps: Ints
    query: QueryRange
    notes: Notes

    def value(self, node: Node) -> Value:
        """Return what a node evaluates to."""
        value = _NODES[type(node)](self, node)
        # Prometheus 2 takes names away at once, 3 at the end of the evaluation.
        return value.finished() if self.query.closed and isinstance(value, Vector) and value.drop_name.any() else value

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

    def moments(self, offset: ast.Length, at: ast.At) -> Ints:
        """Return the instants a selector looks at, one per step."""
        fixed = {"start": self.query.start, "end": self.query.end}.get(at, at) if isinstance(at, str) else at
        base = self.steps if fixed is None else np.full(len(self.steps), fixed, np.int64)
        return base - self.length(offset)

    def length(self, value: ast.Length) -> int:
        """Return a duration, which has been worked out before the evaluation."""
        if isinstance(value, ast.Duration):
            raise TypeError("durations are resolved before evaluation")
        return value

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
        if isinstance(value, Scalar):
            return Scalar(-value.values)
        negative = replace(value, values=-value.values, drop_name=np.ones(value.labels.n, bool), ordered=False)
        if negative.pool is not None:
            negative = replace(negative, pool=scaled(negative.pool, np.full(len(negative.pool), -1.0)))
        return negative

    def instant(self, node: ast.VectorSelector) -> Vector:
        """Evaluate an instant selector."""
        return sampling.instant(self, node)

    def range(self, node: ast.MatrixSelector) -> Ranges:
        """Evaluate a range selector."""
        return sampling.over_window(self, node)

    def subquery(self, node: ast.Subquery) -> Ranges:
        """Evaluate a subquery."""
        return sampling.over_subquery(self, node)

    def aggregation(self, node: ast.Aggregate) -> Vector:
        """Evaluate an aggregation."""
        return aggregate.evaluate(self, node)

    def binary(self, node: ast.Binary) -> Value:
        """Evaluate a binary operation."""
        left, right = self.value(node.left), self.value(node.right)
        if not isinstance(left, Scalar | Vector) or not isinstance(right, Scalar | Vector):
            raise QueryError(f"both sides of {node.op!r} must be scalars or instant vectors.")
        return binary(node, left, right, self.query.limit, self.notes, legacy=self.query.closed)

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
