"""Names of levels, and instants as others write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.signals.time import MAX_NS
from workbench.sources.severity import severity_from_text
from workbench.sources.timestamps import instant_ns, instants_ns


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("INFO", 9), ("info3", 11), ("Warning", 13), (" [ERROR] ", 17), ("FATAL", 21), ("debug", 5), ("17", 17), ("0", 0),
        ("25", 0), ("", 0), ("odd", 0), ("notice2", 0), ("TRACE4", 4), ("FATAL4", 24), ("\u0661", 0),
    ],
)  # fmt: skip
def test_levels(text: str, number: int) -> None:
    assert severity_from_text(text) == number


@given(st.integers(10**8, 9 * 10**9))
def test_the_unit_of_a_number_is_told_from_its_size(seconds: int) -> None:
    for factor in (1, 10**3, 10**6, 10**9):
        assert instant_ns(seconds * factor) == seconds * 10**9
        ns, bad = instants_ns(pd.Series([seconds * factor] * 3))
        assert ns.tolist() == [seconds * 10**9] * 3
        assert not bad.any()


@given(st.one_of(st.integers(), st.floats(), st.text(max_size=12), st.booleans(), st.none(), st.dates().map(str)))
def test_one_instant_is_valid_or_none(value: object) -> None:
    found = instant_ns(value)
    assert found is None or 0 <= found < MAX_NS


def test_columns_of_instants() -> None:
    aware = pd.Series(pd.to_datetime(["2024-05-01T14:00:00+02:00", None], utc=True))
    ns, bad = instants_ns(aware)
    assert ns[0] == np.datetime64("2024-05-01T12:00:00", "ns").astype(int)
    assert bad.tolist() == [False, True]
    ns, bad = instants_ns(pd.Series(["2024-05-01", "x", None, "1969-01-01", "3000-01-01"], dtype="str"))
    assert bad.tolist() == [False, True, True, True, True]
    ns, bad = instants_ns(pd.Series([1.5, np.nan, np.inf, -1]), "s")
    assert bad.tolist() == [False, True, True, True]
    assert ns[0] == 1_500_000_000
