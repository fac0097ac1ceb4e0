"""Our parser beside `promql-parser`, a port of Prometheus' grammar: what one takes the other takes, and alike."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.conformance.promqltest import commands
from tests.query.promql_queries import Generator
from workbench.errors import QueryError
from workbench.query.promql import ast, parse

promql_parser = pytest.importorskip("promql_parser")

LACKS = re.compile(r"\b(anchored|smoothed|info|min_of|max_of|step|range|start|end|histogram_quantiles|fill\w*|limit\w*"
                   r"|ts_of_\w+|first_over_time|mad_over_time|sort_by_label\w*)\b|</|>/|\[[^\]]*[-+*/^(][^\]]*\]"
                   r"|offset\s*[-+]?\s*\(|offset\s*-?\s*\d+(\s|\)|$)|double_exp|holt_winters|\[\d+(:\d*)?\]")  # fmt: skip
"""What the peer's grammar, of an earlier Prometheus, does not know or reads otherwise."""


def theirs(text: str) -> object | None:
    try:
        return promql_parser.parse(text)
    except (ValueError, BaseException) as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def ours(text: str) -> ast.Node | None:
    try:
        return parse(text)
    except QueryError:
        return None


def shape(node: object) -> object:
    """Return the form of our tree: kinds, operators, names, in order."""
    if isinstance(node, ast.Paren):
        return ("paren", shape(node.expr))
    if isinstance(node, ast.Binary):
        return ("binary", node.op, shape(node.left), shape(node.right))
    if isinstance(node, ast.Unary):
        return ("unary", shape(node.expr)) if node.op == "-" else shape(node.expr)
    if isinstance(node, ast.Call):
        return ("call", node.func, *(shape(a) for a in node.args))
    if isinstance(node, ast.Aggregate):
        return ("aggregate", node.op, shape(node.param) if node.param else None, shape(node.expr))
    if isinstance(node, ast.Subquery):
        return ("subquery", node.range, node.step, shape(node.expr))
    if isinstance(node, ast.MatrixSelector):
        return ("matrix", node.range, len(node.vector.matchers))
    if isinstance(node, ast.VectorSelector):
        return ("vector", len(node.matchers))
    return (
        ("number",) if isinstance(node, ast.Number) else ("string", node.value if isinstance(node, ast.String) else "")
    )


def their_shape(node: object) -> object:
    """Return the form of the peer's tree, in the same terms."""
    kind = type(node).__name__
    if kind == "ParenExpr":
        return ("paren", their_shape(node.expr))
    if kind == "BinaryExpr":
        return ("binary", str(node.op).lower(), their_shape(node.lhs), their_shape(node.rhs))
    if kind == "UnaryExpr":
        return ("unary", their_shape(node.expr))
    if kind == "Call":
        return ("call", node.func.name, *(their_shape(a) for a in node.args))
    if kind == "AggregateExpr":
        return (
            "aggregate",
            str(node.op).lower(),
            their_shape(node.param) if node.param else None,
            their_shape(node.expr),
        )
    if kind == "SubqueryExpr":
        step = round(node.step.total_seconds() * 1e9) if node.step else 0
        return ("subquery", round(node.range.total_seconds() * 1e9), step, their_shape(node.expr))
    if kind == "MatrixSelector":
        return ("matrix", round(node.range.total_seconds() * 1e9), matchers(node.vector_selector))
    if kind == "VectorSelector":
        return ("vector", matchers(node))
    return ("number",) if kind == "NumberLiteral" else ("string", node.val)


def matchers(selector: object) -> int:
    named = [m for m in selector.matchers.matchers if m.name == "__name__"]
    return len(selector.matchers.matchers) + (1 if selector.name and not named else 0)


def script_expressions() -> list[str]:
    import os

    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("WORKBENCH_SHARED_DATA", beside)) / "query" / "promqltest"
    out = []
    for path in sorted(folder.glob("*.test")):
        out += [what.expr for kind, what in commands(path.read_text(encoding="utf-8")) if kind == "eval"]
    return list(dict.fromkeys(out))


def test_random_expressions():
    generator = Generator(11)
    checked = 0
    for _ in range(1500):
        text = generator.query()
        other = theirs(text)
        if other is None or LACKS.search(text):
            continue
        assert shape(parse(text)) == their_shape(other), text
        checked += 1
    assert checked > 800


def test_expressions_of_the_scripts():
    expressions = script_expressions()
    if not expressions:
        pytest.skip("the PromQL scripts are not here")
    differ = []
    for text in expressions:
        mine, other = ours(text), theirs(text)
        if "\\xff" in text:  # no UTF-8: we say so when reading, the peer leaves it to the evaluation
            continue
        if LACKS.search(text) or mine is None or other is None:
            if other is not None and mine is None:
                differ.append(f"only the peer takes {text}")
            continue
        if shape(mine) != their_shape(other):
            differ.append(f"{text}: {shape(mine)} {their_shape(other)}")
    assert not differ, "\n".join(differ[:20])


def test_broken_expressions():
    """What is left of a query after a character is taken out, doubled or put elsewhere: both take it or neither does."""
    generator, draw = Generator(13), random.Random(13)
    differ = []
    for _ in range(3000):
        text = generator.query()
        at = draw.randrange(len(text))
        text = draw.choice(
            [text[:at] + text[at + 1 :], text[:at] + draw.choice('(){}[]",+-*/=<>@: xyz019') + text[at:]]
        )
        # Signs before range vectors the peer lets pass; times beyond 2262 are not ours.
        if LACKS.search(text) or re.search(r"\([-+][^()]*\[|@ \d{11}", text):
            continue
        if (ours(text) is None) != (theirs(text) is None):
            differ.append(f"{'peer' if ours(text) is None else 'we'} only: {text}")
    assert not differ, f"{len(differ)}\n" + "\n".join(differ[:30])
