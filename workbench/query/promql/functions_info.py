"""`info(v, {matchers})`: adds labels of info metrics, such as `target_info`, to series of the same instance and job.

References
----------
Prometheus documentation, "Query functions", `info()` (experimental).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import QueryError
from workbench.query.promql import ast, sampling
from workbench.query.promql.matching import stacked
from workbench.query.promql.values import METADATA, NAME, Bools, Floats, Ints, Labels, Vector
from workbench.signals import Matcher
from workbench.signals.names import to_prometheus

if TYPE_CHECKING:
    from workbench.query.promql.evaluate import Evaluator

__all__ = ["info"]

_DEFAULT: Final = Matcher("metric", "=", "target_info")
_ANY: Final = Matcher("metric", "=~", ".+_info")
_IDENTIFYING: Final = ("instance", "job")


def info(evaluator: Evaluator, node: ast.Call) -> Vector:
    """Return the series of the first argument with data labels of the info series that belong to them.

    Raises
    ------
    QueryError
        If info series are histograms, two of one metric are equally new, or two metrics disagree about a label.
    """
    base = evaluator.vector(node.args[0])
    given = node.args[1].matchers if len(node.args) > 1 and isinstance(node.args[1], ast.VectorSelector) else ()
    named = [m for m in given if m.name == "metric"]
    wanted = [m for m in given if m.name != "metric"]
    own = named or [_DEFAULT]
    if named and all(m.op[0] == "!" for m in named):
        own = [_ANY, *named]
    ignored = np.full(base.labels.n, bool(named) or not given)
    for matcher in own:
        ignored &= matcher.mask(base.labels.column(NAME))
    rest = base.take(np.flatnonzero(~ignored))
    parts = [base.take(np.flatnonzero(ignored))]
    if rest.labels.n:
        enriched = _enriched(evaluator, node, rest, own, wanted)
        parts.append(enriched)
    return stacked(parts).compact().merged() if len(parts) > 1 else parts[0]


def _identifying(labels: Labels) -> list[Matcher]:
    """Return matchers for the instances and jobs there are."""
    out = []
    for name in _IDENTIFYING:
        values = sorted({str(v) for v in labels.column(name).tolist() if v})
        if values:
            out.append(Matcher(name, "=~", "|".join(_quoted(v) for v in values)))
    return out


def _quoted(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text)


def _selected(evaluator: Evaluator, node: ast.Call, matchers: list[Matcher]) -> Vector:
    """Return when the newest sample of every info series was taken, at the time the first argument looks at."""
    moments = _moments(evaluator, node.args[0])
    inner = replace(evaluator, steps=moments)
    selector = ast.VectorSelector(tuple(matchers), node.start, node.end)
    found = sampling.instant(inner, selector)
    if found.histogram.any():
        raise QueryError("this should be an info metric, with float samples, but it holds histograms.")
    # One instant may stand for all steps: selectors look at rising times only.
    return sampling.instant(inner, selector, times=True)


def _moments(evaluator: Evaluator, node: ast.Node) -> Ints:
    """Return the time, per step, that the first selector in an expression reads, as far as it is not a range."""
    moments = evaluator.steps
    while True:
        if isinstance(node, ast.VectorSelector | ast.Subquery):
            moments = replace(evaluator, steps=moments).moments(node.offset, node.at)
            if isinstance(node, ast.VectorSelector):
                return moments
            node = node.expr
        elif isinstance(node, ast.MatrixSelector):
            node = node.vector
        elif isinstance(node, ast.Binary):
            node = node.left
        elif isinstance(node, ast.Call):
            inner = [arg for arg in node.args if arg.type in ("vector", "matrix")]
            if not inner:
                return moments
            node = inner[0]
        elif isinstance(node, ast.Aggregate | ast.Unary | ast.Paren):
            node = node.expr
        else:
            return moments


def _enriched(evaluator: Evaluator, node: ast.Call, base: Vector, own: list[Matcher], wanted: list[Matcher]) -> Vector:
    ids = _identifying(base.labels)
    blank = all(bool(m.mask(np.array([""], object))[0]) for m in wanted)
    if not ids:
        return base if blank else base.masked(np.zeros_like(base.present))
    found = _selected(evaluator, node, [*own, *ids, *wanted])
    keep = {to_prometheus(m.name) for m in wanted}
    best = [_newest(found, rows) for rows in _by_metric(found)]
    variants = _variants(base, found, best)
    parts = []
    for rows, present in variants:
        labels, matched = _labelled(base, found, rows, keep)
        cells = base.present & present
        if not blank:
            cells = cells & matched[:, None]
        parts.append(replace(base, labels=labels, present=cells))
    return stacked(parts).compact().merged()


def _by_metric(found: Vector) -> list[Ints]:
    names = found.labels.column(NAME)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]


def _newest(found: Vector, rows: Ints) -> tuple[Labels, np.ndarray]:
    """Return the identities of one info metric, and per identity and step the row that counts, -1 for none."""
    labels = found.labels.take(rows).keep(_IDENTIFYING)
    codes, first = labels.groups()
    times: Floats = np.where(found.present[rows], found.values[rows], -np.inf)
    chosen = np.full((len(first), times.shape[1]), -1, np.int64)
    for code in range(len(first)):
        own = np.flatnonzero(codes == code)
        newest = times[own].max(axis=0)
        if ((times[own] == newest).sum(axis=0)[np.isfinite(newest)] > 1).any():
            a, b = (found.labels.text(int(rows[i])) for i in own[:2])
            raise QueryError(f"found duplicate series for info metric: existing {a}, new {b}")
        chosen[code] = np.where(np.isfinite(newest), rows[own[times[own].argmax(axis=0)]], -1)
    return labels.take(first), chosen


def _variants(base: Vector, found: Vector, best: list[tuple[Labels, np.ndarray]]) -> list[tuple[list[Ints], Bools]]:
    """Return the combinations of info rows there are, each with the series and steps it holds for."""
    shape = base.present.shape
    per_metric = []
    for labels, chosen in best:
        place = {tuple(row): i for i, row in enumerate(zip(*(labels.column(n) for n in _IDENTIFYING), strict=True))}
        keys = zip(*(base.labels.column(n) for n in _IDENTIFYING), strict=True)
        index = np.array([place.get(key, -1) for key in keys], np.int64)
        per_metric.append(np.where((index >= 0)[:, None], chosen[np.maximum(index, 0)], -1))
    if not per_metric:
        return [([], np.ones(shape, bool))]
    stack = np.stack([np.broadcast_to(m, shape) for m in per_metric])
    out = []
    changes = (stack[:, :, 1:] != stack[:, :, :-1]).any(axis=(0, 1))
    edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [shape[1]]])
    for low, high in itertools.pairwise(edges):
        inside = np.zeros(shape, bool)
        inside[:, low:high] = True
        out.append(([stack[i][:, low] for i in range(len(per_metric))], inside))
    return out


def _labelled(base: Vector, found: Vector, rows: list[Ints], keep: set[str]) -> tuple[Labels, Bools]:
    """Return the labels of every series with data labels added, and which series have an info series."""
    labels = base.labels
    matched = np.zeros(labels.n, bool)
    for name in found.labels.columns:
        if name in METADATA or (keep and name not in keep):
            continue
        values = np.full(labels.n, "", object)
        for own in rows:
            given = np.where(own >= 0, found.labels.columns[name][np.maximum(own, 0)], "") if found.labels.n else values
            if ((values != "") & (given != "") & (values != given)).any():
                raise QueryError(f"conflicting label: {name}")
            values = np.where(given != "", given, values).astype(object)
        there = base.labels.column(name)
        labels = labels.with_column(name, np.where(there == "", values, there).astype(object))
    for own in rows:
        matched |= own >= 0
    return labels, matched
