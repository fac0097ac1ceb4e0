"""PromQL text to trees: precedence, selectors, modifiers, and what is refused where."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import QueryError
from workbench.query.promql import ast, parse
from workbench.query.promql.lexer import duration, number, tokenize
from workbench.signals import Matcher

MINUTE = 60 * 10**9


def shape(node: ast.Node) -> object:
    """Return a tree as nested tuples of operators and texts."""
    if isinstance(node, ast.Binary):
        return (node.op, shape(node.left), shape(node.right))
    if isinstance(node, ast.Unary):
        return (node.op, shape(node.expr))
    if isinstance(node, ast.Paren):
        return shape(node.expr)
    return node.value if isinstance(node, ast.Number) else node.matchers[0].value


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", ("+", "a", ("*", "b", "c"))),
        ("a * b + c", ("+", ("*", "a", "b"), "c")),
        ("a - b - c", ("-", ("-", "a", "b"), "c")),
        ("a ^ b ^ c", ("^", "a", ("^", "b", "c"))),
        ("-a ^ b", ("-", ("^", "a", "b"))),
        ("-a * b", ("*", ("-", "a"), "b")),
        ("a or b and c unless d", ("or", "a", ("unless", ("and", "b", "c"), "d"))),
        ("a > b + c", (">", "a", ("+", "b", "c"))),
        ("a AND b == c", ("and", "a", ("==", "b", "c"))),
        ("a atan2 b % c", ("%", ("atan2", "a", "b"), "c")),
        ("-1 ^ 2", ("-", ("^", 1.0, 2.0))),
        ("a # comment\n + b", ("+", "a", "b")),
        ("5m + 0x1F + 1_000 + .5e1 + a", ("+", ("+", ("+", ("+", 300.0, 31.0), 1000.0), 5.0), "a")),
    ],
)
def test_precedence(text, tree):
    assert shape(parse(text)) == tree


def test_selectors():
    assert parse("up").matchers == (Matcher("metric", "=", "up"),)
    assert parse('up{job="a", x!="b",y=~"c.*",z!~"d",}').matchers[1:] == (
        Matcher("job", "=", "a"),
        Matcher("x", "!=", "b"),
        Matcher("y", "=~", "c.*"),
        Matcher("z", "!~", "d"),
    )
    utf8 = parse('{"http.server.request.duration_count", "http.route"="/x", service=`a\\b`}')
    assert utf8.matchers == (
        Matcher("metric", "=", "http.server.request.duration_count"),
        Matcher("http.route", "=", "/x"),
        Matcher("service", "=", "a\\b"),
    )
    assert parse('{metric="x"}').matchers == (Matcher("metric_", "=", "x"),)
    assert parse("sum").matchers == (Matcher("metric", "=", "sum"),)
    assert parse("a:b:rate5m").matchers == (Matcher("metric", "=", "a:b:rate5m"),)


def test_ranges_offsets_and_times():
    node = parse("rate(x[5m] offset -1h @ 60.5)").args[0]
    assert isinstance(node, ast.MatrixSelector)
    assert (node.range, node.vector.offset, node.vector.at) == (5 * MINUTE, -60 * MINUTE, 60_500_000_000)
    node = parse("max_over_time(rate(x[1m])[1h30m:15s] @ end() offset 5m)").args[0]
    assert isinstance(node, ast.Subquery)
    assert (node.range, node.step, node.at, node.offset) == (90 * MINUTE, MINUTE // 4, "end", 5 * MINUTE)
    assert parse("x[300]").range == 5 * MINUTE
    assert parse("x[5m:]").step == 0


def test_aggregations_and_matching():
    for text in ("sum by (a, b) (x)", "SUM(x) BY (a, b)", 'sum by ("a", "b",)(x)'):
        node = parse(text)
        assert (node.op, node.grouping, node.without) == ("sum", ("a", "b"), False)
    assert parse('count_values without (a) ("v", x)').param.value == "v"
    node = parse("a / on (x) group_left (y) b")
    assert node.matching == ast.VectorMatching(True, ("x",), "many-to-one", ("y",))
    assert parse("a == bool on () b").bool
    assert parse("a / ignoring (x) group_right b").matching.card == "one-to-many"


def test_positions():
    node = parse("  sum( rate(x[5m]) )")
    assert (node.start, node.end, node.expr.start, node.expr.end) == (2, 20, 7, 18)


@pytest.mark.parametrize(
    ("text", "says", "position"),
    [
        ("", "no expression found", 0),
        ("sum(", "unexpected end of input", 4),
        ("rat(x[5m])", 'did you mean "rate"', 0),
        ("rate(x)", 'expected type range vector in call to function "rate", got instant vector', 5),
        ("rate()", "expected 1 argument", 0),
        ("sum(1)", "expected type instant vector in aggregation expression, got scalar", 4),
        ("topk(x)", "expected 2, got 1", 0),
        ("{}", "at least one non-empty matcher", 0),
        ('{a=~".*"}', "at least one non-empty matcher", 0),
        ('x{__name__="y"}', "metric name must not be set twice", 0),
        ("x{a=b}", "expected string", 4),
        ('x{a="b"', 'expected "," or "}"', 7),
        ('x{a=~"("}', "regular expression", 5),
        ("x[5m] offset", "expected number, duration, step(), or range()", 12),
        ("x offset 1m offset 1m", "may not be set multiple times", 12),
        ("x offset 1m [5m]", "no offset modifiers allowed before range", 12),
        ("(x)[5m]", "ranges only allowed for vector selectors", 3),
        ("x[5m][5m:1m]", "subquery is only allowed on instant vector", 0),
        ("x[0s]", "greater than 0", 2),
        ("x[1.5m]", 'bad number or duration syntax: "1.5m"', 2),
        ("1and x", 'bad number or duration syntax: "1and"', 0),
        ("1 offset 5m", "offset modifier must be preceded", 2),
        ("1 == 1", "must use BOOL modifier", 2),
        ("1 and 1", "not allowed in binary scalar", 2),
        ("a + bool b", "bool modifier", 2),
        ("a + on (x) 1", "vector matching only allowed between instant vectors", 2),
        ("a and on (x) group_left b", "no grouping allowed", 13),
        ("a + on (x) group_left (x) b", "must not occur in ON and GROUP", 24),
        ('a + "b"', "must contain only scalar and instant vector types", 0),
        ("-x[5m]", "unary expression only allowed", 0),
        ("a b", "an operator or the end", 2),
        ("a $ b", "unexpected character", 2),
        ('"abc', "not closed", 0),
        ('"\\q"', "unknown escape", 1),
        ('"\\xff"', "not valid UTF-8", 0),
        ("x @ foo", "expected timestamp", 4),
        ("(" * 200, "nested deeper than 100", 100),
        ("-" * 200 + "1", "nested deeper than 100", 100),
    ],
)
def test_refuses_with_what_and_where(text, says, position):
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert caught.value.position == position


def test_refuses_what_is_too_long():
    with pytest.raises(QueryError, match="at most 100000"):
        parse("1+" * 60_000 + "1")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1h30m", 5400), ("1y", 365 * 86400), ("100ms", 0.1), ("1d1h1m1s1ms", 90061.001), ("0s", 0)],
)
def test_durations(text, value):
    assert duration(text) == round(value * 10**9)


@pytest.mark.parametrize("text", ["5", "1m1h", "5m5m", "", "m", "99999999999y"])
def test_durations_refused(text):
    assert duration(text) is None


def test_numbers():
    assert number("0x1f") == 31
    assert number("1e-3") == 0.001
    assert math.isnan(number("NaN") or 0.0)
    assert number("1.2.3") is None


def test_strings():
    assert [t.value for t in tokenize(r""""a\"\n\u00e9\x41" 'b"' `c\n`""")[:3]] == ['a"\né' + "A", 'b"', "c\\n"]
    assert tokenize(r'"\xc3\xa9"')[0].value == "é"


@given(st.text(alphabet="ab(){}[]\"'`=~!<>+-*/%^,:@#1.5mhs_ \nsumbyofet", max_size=30))
def test_any_text_parses_or_is_refused(text):
    position = 0
    try:
        node = parse(text)
    except QueryError as error:
        position = error.position
    else:
        assert node.end <= len(text)
    assert 0 <= position <= len(text)
