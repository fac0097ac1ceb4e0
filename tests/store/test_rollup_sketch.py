"""Quantile sketches: within their promised error, and the same however they were joined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.store.rollup_columns import decode_sketches, encode_sketches
from workbench.store.rollup_sketch import ERROR, Sketches, join_sketches, quantiles, sketch

NUMBERS = st.one_of(st.floats(allow_nan=False), st.integers(-5, 5).map(float), st.floats(0.1, 10))


@given(st.lists(NUMBERS, min_size=1, max_size=50), st.floats(0, 1))
def test_each_rank_is_within_the_error(values, q):
    found = float(quantiles(sketch(np.zeros(len(values), np.int64), np.array(values), 1), q)[0])
    rank = q * (len(values) - 1)
    low, high = (sorted(values)[int(f(rank))] for f in (math.floor, math.ceil))
    if math.isnan(found):  # halfway between the two infinities
        assert math.isinf(low)
        assert math.isinf(high)
        return
    slack = 1 + 1e-9
    bottom = low - abs(low) * ERROR * slack if math.isfinite(low) else low
    top = high + abs(high) * ERROR * slack if math.isfinite(high) else high
    assert bottom <= found <= top or abs(found) <= 5e-320


def test_nothing_has_no_quantile_and_nan_is_no_value():
    found = quantiles(sketch(np.array([1, 1]), np.array([math.nan, 3.0]), 3), 0.5)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(3.0, rel=ERROR)


@given(st.lists(st.tuples(st.integers(0, 5), NUMBERS), max_size=60))
def test_joined_sketches_are_those_of_all_values(rows):
    owner, values = np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.float64)
    joined = join_sketches(np.array([0, 0, 1, 1, 2, 2]), sketch(owner, values, 6), 3)
    direct = sketch(owner // 2, values, 3)
    for name in ("offsets", "key", "count"):
        assert getattr(joined, name).tolist() == getattr(direct, name).tolist()


@given(st.lists(st.tuples(st.integers(0, 5), NUMBERS), max_size=60))
def test_bytes_and_back(rows):
    made = sketch(np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.float64), 6)
    back = decode_sketches(encode_sketches(made), 6)
    for name in ("offsets", "key", "count"):
        assert getattr(back, name).tolist() == getattr(made, name).tolist()
    some = made.take(np.array([4, 0]))
    assert quantiles(some, 0.3).tolist() == pytest.approx(quantiles(made, 0.3)[[4, 0]].tolist(), nan_ok=True)


@pytest.mark.parametrize("cut", [0, 3, 6, -1])
def test_bytes_that_are_no_sketch_are_refused(cut):
    data = encode_sketches(sketch(np.array([0, 1, 1]), np.array([1.0, 2.0, 4.0]), 2))
    with pytest.raises(ValueError, match=r"sketch|pco|zstd|expected|cut|bytes"):
        decode_sketches(data[:cut], 2)


def test_no_parts_are_no_sketches():
    assert len(Sketches.of_parts([])) == 0
