"""The search grammar: what parses to what, what is refused and where, and the round trip through `str`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.query.search_queries import nodes
from workbench.errors import QueryError
from workbench.query.search import equalities, parse
from workbench.query.search.ast import (
    And,
    Compare,
    Everything,
    Exists,
    Field,
    Not,
    Or,
    Pattern,
    Range,
    Term,
    Text,
    Wild,
)


def literal(text: str) -> Pattern:
    return Pattern((text,))


A, B = Term(Field("a"), literal("x")), Term(Field("a"), literal("y"))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", Everything()),
        ("  ", Everything()),
        ("*", Everything()),
        ("error", Text(literal("error"))),
        ('"connection reset"', Text(literal("connection reset"))),
        ('"a * \\" b"', Text(literal('a * " b'))),
        ("conn*on", Text(Pattern(("conn", Wild.ANY, "on")))),
        (r"conn\*on", Text(literal("conn*on"))),
        ("*:word", Text(literal("word"), everywhere=True)),
        ("a:x", A),
        ("@a:x", Term(Field("a", True), literal("x"))),
        ("a:10.0.0.1:80", Term(Field("a"), literal("10.0.0.1:80"))),
        ("a:-5", Term(Field("a"), literal("-5"))),
        ("a:*", Exists(Field("a"))),
        ("_exists_:a", Exists(Field("a"))),
        ("_missing_:@a.b", Not(Exists(Field("a.b", True)))),
        ("@a:>=500", Compare(Field("a", True), ">=", "500")),
        ("a:> 1s", Compare(Field("a"), ">", "1s")),
        ("a:[400 TO 499]", Range(Field("a"), "400", "499")),
        ("a:{400 TO *}", Range(Field("a"), "400", None, False, False)),
        ("a:x a:y", And((A, B))),
        ("a:x AND a:y", And((A, B))),
        ("a:x && a:y", And((A, B))),
        ("a:x OR a:y", Or((A, B))),
        ("a:x || a:y", Or((A, B))),
        ("a:(x OR y)", Or((A, B))),
        ("a:(x y)", And((A, B))),
        ("a:(x -y)", And((A, Not(B)))),
        ("a:(NOT x OR y)", Or((Not(A), B))),
        ("a:((x OR y))", Or((A, B))),
        ("-a:x", Not(A)),
        ("NOT a:x a:y", And((Not(A), B))),
        ("!a:x", Not(A)),
        ("a:x OR a:y a:x", Or((A, And((B, A))))),
        ("(a:x OR a:y) a:x", And((Or((A, B)), A))),
    ],
)
def test_parses(text, node):
    assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "says", "position"),
    [
        ("(", "the end of the query where a word", 1),
        ("(x", "the end of the query where ')'", 2),
        ("x)", "found ')' where AND, OR", 1),
        ("a:", "the end of the query where a value", 2),
        ("a: b", "found ' ' where a value", 2),
        ("a:)", "found ')' where a value", 2),
        ('say "x', 'a closing " was expected', 4),
        ("a:[1 2]", "found '2' where TO", 5),
        ("a:[1 TO 2", "the end of the query where ']' or '}'", 9),
        ("a:[1* TO 2]", "wildcards", 3),
        ("OR x", "found 'OR' where a word", 0),
        ("x AND", "the end of the query", 5),
        ("a:>*", "found '*'", 2),
        ("a*b:c", "has a wildcard", 0),
        (":x", "found ':'", 0),
        ("x\\", "a character to escape", 0),
        ("a:(x", "the end of the query where ')'", 4),
        ("a:(x OR)", "found ')' where a value", 7),
        ("a:()", "found ')' where a value", 3),
        ("_exists_:", "a field name", 9),
        ("(" * 100, "deeper than 60", 60),
        ("-" * 100, "deeper than 60", 60),
        ("a:" + "(" * 100, "deeper than 60", 62),
    ],
)
def test_refuses_with_what_and_where(text, says, position):
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert caught.value.position == position


def test_refuses_what_is_too_long_or_not_unicode():
    with pytest.raises(QueryError, match="at most 20000"):
        parse("x" * 20_001)
    with pytest.raises(QueryError, match="surrogate"):
        parse("x\ud800")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a*" * 33, "33 wildcards"),
        ("a" * 500 + "*", "a word of 501 characters"),
        ("x " * 1001, "more than 1000 conditions"),
        ("a:(" + "x " * 1001 + ")", "more than 1000 conditions"),
    ],
)
def test_refuses_what_would_take_long(text, says):
    with pytest.raises(QueryError, match=says):
        parse(text)


def test_many_terms_are_no_nesting():
    assert len(parse("x " * 1000).parts) == 1000


@given(nodes())
def test_round_trip(node):
    assert parse(str(node)) == node


@given(st.text(alphabet='ab:"()[]{}*?\\<>=-!&| \tANDORT@_', max_size=40))
def test_any_text_parses_or_is_refused(text):
    position, node = 0, None
    try:
        node = parse(text)
    except QueryError as error:
        position = error.position
    assert 0 <= position <= len(text)
    assert node is None or parse(str(node)) == node


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("service:a", {"service": ["a"]}),
        ("@service.name:a", {"service": ["a"]}),
        ("service:a env:prod x", {"service": ["a"], "env": ["prod"]}),
        ("service:(a OR b)", {"service": ["a", "b"]}),
        ("service:a OR env:prod", {}),
        ("(service:a env:x) OR service:b", {"service": ["a", "b"]}),
        ("service:(a OR b) service:(b OR c)", {"service": ["b"]}),
        ("-service:a", {}),
        ("service:a*", {}),
        ("status:error @http.route:x duration:>1s", {}),
    ],
)
def test_equalities(text, conditions):
    assert equalities(parse(text)) == conditions
