"""Hypothesis strategies for search queries and the frames they run on."""

from __future__ import annotations

import pandas as pd
from hypothesis import strategies as st

from workbench.query.search.ast import And, Compare, Exists, Field, Not, Or, Pattern, Range, Term, Text, Wild

WORDS = ["a", "b", "ab", "A", "a b", "b\t a", "é", "İx", "AND", "5", "50", "7.5", "-1", "1s", "2ms", "true", "error", "warn", "17", "*", "x:y", '"', "\\"]
FIELDS = ["body", "service", "service.name", "status", "severity", "code", "text", "flag", "duration", "duration_ns", "kindred", "nope"]


def patterns() -> st.SearchStrategy[Pattern]:
    """Patterns in normal form: no two literals and no two `*` side by side."""

    def normal(parts: list[str | Wild]) -> Pattern:
        out: list[str | Wild] = []
        for part in parts:
            if out and isinstance(part, str) and isinstance(out[-1], str):
                out[-1] += part
            elif not (out and part is Wild.ANY and out[-1] is Wild.ANY):
                out.append(part)
        return Pattern(tuple(out))

    piece = st.sampled_from(WORDS) | st.sampled_from(list(Wild))
    return st.lists(piece, min_size=1, max_size=4).map(normal).filter(lambda p: not p.everything)


def fields() -> st.SearchStrategy[Field]:
    return st.builds(Field, st.sampled_from(FIELDS), st.booleans())


def leaves() -> st.SearchStrategy[object]:
    operand = st.sampled_from(WORDS)
    end = st.none() | operand
    return st.one_of(
        st.builds(Text, patterns(), st.booleans()),
        st.builds(Term, fields(), patterns()),
        st.builds(Compare, fields(), st.sampled_from([">", ">=", "<", "<="]), operand),
        st.builds(Range, fields(), end, end, st.booleans(), st.booleans()),
        st.builds(Exists, fields()),
    )


def nodes() -> st.SearchStrategy[object]:
    """Any query but the one that matches everything."""

    def joined(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(leaves(), joined, max_leaves=6)


def frames() -> st.SearchStrategy[pd.DataFrame]:
    """Frames with some of the columns a query may name, of every kind of dtype."""
    text = st.sampled_from(["", "a", "b", "AB", "a  b", "xb\ta b", "É", "ix", "and", "5", "7.5", "50", "1s", "x:y", 'say "a"'])
    cells = {
        "body": (text, "str"),
        "service": (st.none() | text, "str"),
        "severity": (st.integers(0, 24), "int8"),
        "code": (st.sampled_from([5.0, 50.0, 7.5, -1.0, float("nan")]), "float64"),
        "text": (st.none() | text, "object"),
        "flag": (st.booleans(), "bool"),
        "duration_ns": (st.sampled_from([0, 5, 2_000_000, 10**9, 2 * 10**9]), "int64"),
        "kindred": (st.none() | text, "category"),
    }

    @st.composite
    def build(draw: st.DrawFn) -> pd.DataFrame:
        n = draw(st.integers(0, 5))
        chosen = draw(st.lists(st.sampled_from(sorted(cells)), unique=True))
        columns = {name: draw(st.lists(cells[name][0], min_size=n, max_size=n)) for name in chosen}
        data = {name: pd.Series(values, dtype=cells[name][1]) for name, values in columns.items()}
        return pd.DataFrame(data, index=pd.RangeIndex(n))

    return build()
