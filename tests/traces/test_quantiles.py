"""Quantiles of many groups at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.traces import grouped_quantiles

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50) | st.integers(0, 2**62)), max_size=30)


@given(ROWS)
def test_each_group_has_its_own_quantiles(rows: list[tuple[int, int]]) -> None:
    group = np.array([g for g, _ in rows], np.int64)
    values = np.array([v for _, v in rows], np.int64)
    found = grouped_quantiles(group, values, 5, (0.0, 0.5, 0.95, 1.0))
    for g in range(5):
        chosen = [float(v) for v in values[group == g]]
        twin = [naive.linear_quantile(chosen, q) for q in (0.0, 0.5, 0.95, 1.0)]
        assert found[:, g] == pytest.approx(twin, rel=1e-12, nan_ok=True)
