"""Hypothesis strategies for search queries and the frames they run on."""

from __future__ import annotations

import pandas as pd
from hypothesis import strategies as st

from workbench.query.search.ast import And, Compare, Exists, Field, Not, Or, Pattern, Range, Term, Text, Wild

WORDS = [
    "a",
    "b",
    "ab",
    "A",
    "a b",
    "b\t a",
    "é",
    "İx",
    "AND",
    "5",
    "50",
    "7.5",
    "-1",
    "1s",
    "2ms",
    "true",
    "error",
    "warn",
    "17",
    "*",
    "x:y",
    '"',
    "\\",
]
FITTING = {
    "severity": ["error", "warn", "17", "e*", "0"], "status": ["error", "Info", "9"], "code": ["5", "50", "7.5", "-1"],
    "flag": ["true", "FALSE"], "duration": ["1s", "2ms", "5", "0"], "duration_ns": ["1s", "2ms", "5", "0"],
}  # fmt: skip
"""Operands that some row is likely to have."""

FIELDS = [
    "body",
    "service",
    "service.name",
    "status",
    "severity",
    "code",
    "text",
    "flag",
    "duration",
    "duration_ns",
    "kindred",
    "nope",
]


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
    """Queries of a single condition, half of them with operands that fit the field."""

    @st.composite
    def on_field(draw: st.DrawFn) -> object:
        field = draw(fields())
        operands = st.sampled_from(FITTING.get(field.name, WORDS)) | st.sampled_from(WORDS)
        kind = draw(st.sampled_from([Term, Term, Compare, Compare, Range, Range, Exists]))
        if kind is Term:
            return Term(field, draw(operands.map(lambda word: Pattern((word,))) | patterns()))
        if kind is Compare:
            return Compare(field, draw(st.sampled_from([">", ">=", "<", "<="])), draw(operands))
        if kind is Range:
            ends = st.none() | operands
            return Range(field, draw(ends), draw(ends), draw(st.booleans()), draw(st.booleans()))
        return Exists(field)

    return on_field() | st.builds(Text, patterns(), st.booleans())


def nodes() -> st.SearchStrategy[object]:
    """Any query but the one that matches everything."""

    def joined(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(leaves(), joined, max_leaves=4)


def frames() -> st.SearchStrategy[pd.DataFrame]:
    """Frames with some of the columns a query may name, of every kind of dtype."""
    text = st.sampled_from(
        ["", "a", "b", "AB", "a  b", "xb\ta b", "É", "ix", "and", "5", "7.5", "50", "1s", "x:y", 'say "a"']
    )
    cells = {
        "body": (text, "str"),
        "service": (st.none() | text, "str"),
        "severity": (st.sampled_from([0, 1, 9, 12, 13, 17, 20, 21, 24]), "int8"),
        "code": (st.sampled_from([5.0, 50.0, 7.5, -1.0, float("nan")]), "float64"),
        "text": (st.none() | text, "object"),
        "flag": (st.booleans(), "bool"),
        "duration_ns": (st.sampled_from([0, 5, 2_000_000, 10**9, 2 * 10**9]), "int64"),
        "kindred": (st.none() | text, "category"),
    }

    @st.composite
    def build(draw: st.DrawFn) -> pd.DataFrame:
        n = draw(st.integers(0, 6))
        absent = draw(st.lists(st.sampled_from(sorted(cells)), unique=True, max_size=3))
        chosen = [name for name in sorted(cells) if name not in absent]
        columns = {name: draw(st.lists(cells[name][0], min_size=n, max_size=n)) for name in chosen}
        data = {name: pd.Series(values, dtype=cells[name][1]) for name, values in columns.items()}
        return pd.DataFrame(data, index=pd.RangeIndex(n))

    return build()
