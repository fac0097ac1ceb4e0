"""Label matchers: four operators, absent labels, RE2 and nothing slower."""

from __future__ import annotations

import re
import time as clock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput, QueryError
from workbench.signals import Matcher, match

VALUES = ["", "a", "ab", "b", "a\nb", "é", "<script>"]
TABLE = pd.DataFrame({"service": VALUES}, dtype="str")


@pytest.mark.parametrize(
    ("op", "value", "found"),
    [
        ("=", "a", ["a"]),
        ("=", "", [""]),
        ("!=", "a", ["", "ab", "b", "a\nb", "é", "<script>"]),
        ("=~", "a|b", ["a", "b"]),
        ("=~", "a.*", ["a", "ab", "a\nb"]),
        ("=~", "", [""]),
        ("=~", "(?i)É", ["é"]),
        ("!~", "a.*|", ["b", "é", "<script>"]),
        ("=~", "<script>", ["<script>"]),
        ("=~", "^a$", ["a"]),
    ],
)
def test_operators(op: str, value: str, found: list[str]) -> None:
    keep = match(TABLE, [Matcher("service", op, value)])
    assert keep.dtype == bool
    assert TABLE["service"][keep].tolist() == found


@given(
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "a", "b", "a|b", "a.*", ".+", ".*", "[ab]+", "a?", "x{2,3}"]),
    st.lists(st.text("abx\n", max_size=3)),
)
def test_operators_agree_with_pythons(op: str, value: str, values: list[str]) -> None:
    def holds(text: str) -> bool:
        hit = text == value if op in ("=", "!=") else re.fullmatch(value, text, re.DOTALL) is not None
        return hit == (op in ("=", "=~"))

    keep = match(pd.DataFrame({"l": values}, dtype="str"), [Matcher("l", op, value)])
    assert keep.tolist() == [holds(text) for text in values]


def test_an_absent_label_is_the_empty_text() -> None:
    for op, value, expected in (
        ("=", "", True),
        ("=", "a", False),
        ("!=", "a", True),
        ("=~", ".*", True),
        ("=~", ".+", False),
    ):
        assert match(TABLE, [Matcher("zone", op, value)]).tolist() == [expected] * len(TABLE)


def test_all_matchers_must_hold_and_none_means_all() -> None:
    assert match(TABLE, []).all()
    both = [Matcher("service", "=~", "a.*"), Matcher("service", "!=", "a")]
    assert TABLE["service"][match(TABLE, both)].tolist() == ["ab", "a\nb"]
    assert match(TABLE.iloc[:0], both).tolist() == []


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)|(b", "a**", "(a{1000}){1000}", r"\1", "(?=a)", r"\Qa", "x\\", "[[:nope:]]", "\ud800", "(" * 5000],
)
def test_broken_expressions_are_refused_at_once(pattern: str) -> None:
    with pytest.raises(QueryError, match="of label 'service' is broken") as refused:
        Matcher("service", "=~", pattern)
    assert len(str(refused.value)) < 500


def test_unknown_operators_are_refused() -> None:
    with pytest.raises(InvalidInput, match="label matcher operator '=='"):
        Matcher("service", "==", "a")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)*c", "(.*a){25}", "((a?){30}a{30})"])
def test_hostile_expressions_are_fast(pattern: str) -> None:
    """Each takes a backtracking engine longer than the age of the earth on this value."""
    values = np.array(["a" * 10_000] * 20, object)
    began = clock.process_time()
    Matcher("service", "=~", pattern).mask(values)
    assert clock.process_time() - began < 5
