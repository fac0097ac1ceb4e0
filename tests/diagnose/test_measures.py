"""Measures of difference between before and during."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workbench.diagnose.measures import CEILING, contrast, rate_surprise, share_surprise


def one(*values: float) -> list[np.ndarray]:
    return [np.array([v], float) for v in values]


@given(st.integers(0, 50), st.integers(50, 500), st.integers(0, 50), st.integers(50, 500))
def test_share_surprise_is_bounded_and_silent_where_the_share_did_not_rise(h0: int, n0: int, h1: int, n1: int) -> None:
    (value,) = share_surprise(*one(h0, n0, h1, n1))
    assert 0.0 <= value <= CEILING
    if (h1 + 0.5) / (n1 + 1) <= (h0 + 0.5) / (n0 + 1):
        assert value == 0.0


def test_share_surprise_grows_with_the_share_and_with_the_number() -> None:
    few, more, many = (float(share_surprise(*one(0, 200, h, n))[0]) for h, n in ((1, 100), (4, 100), (8, 200)))
    assert few < more < many
    # Two likelihoods written out: 3 of 10 at a rate of 0.01 against their own rate.
    p0, p1 = 0.5 / 51, 3.5 / 11
    expected = 10 / np.log(10) * (3 * np.log(p1 / p0) + 7 * np.log((1 - p1) / (1 - p0)))
    assert np.isclose(share_surprise(*one(0, 50, 3, 10))[0], expected)


def test_rate_surprise_compares_per_second() -> None:
    assert rate_surprise(*one(100), 100.0, *one(50), 50.0)[0] == 0.0
    assert rate_surprise(*one(100), 100.0, *one(300), 50.0)[0] == CEILING


def test_contrast_sees_a_shift_and_not_a_sameness() -> None:
    rng = np.random.default_rng(5)
    before = pd.DataFrame({"service": ["a"] * 200 + ["b"] * 200, "ns": rng.normal(100, 5, 400)})
    during = pd.DataFrame({"service": ["a"] * 80 + ["b"] * 80, "ns": rng.normal([300] * 80 + [100] * 80, 5)})
    table = contrast(before, during, ["service"], "ns")
    assert table.loc["a", "certainty"] == 1.0
    assert table.loc["b", "certainty"] == 0.0
    assert np.isclose(table.loc["a", "excess"], 80 * 200, rtol=0.02)
    assert np.isclose(table.loc["a", "median_during"], 300, rtol=0.02)


def test_contrast_of_nothing_in_common_is_empty() -> None:
    before = pd.DataFrame({"service": ["a"], "ns": [1.0]})
    during = pd.DataFrame({"service": ["b"], "ns": [1.0]})
    table = contrast(before, during, ["service"], "ns")
    assert table.empty
    assert {"excess", "certainty", "over"} <= set(table.columns)
