"""Chunk rows: statistics agree with a plain loop, labels with plain JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from workbench.store.chunks import Flat, chunk_table, newest, stats
from workbench.store.series import canonical

value = st.one_of(st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, 5e300]), st.integers(-5, 5).map(float))


@given(st.lists(st.lists(value, min_size=1, max_size=8), min_size=1, max_size=5))
def test_chunk_statistics_equal_a_loop(parts):
    flat = np.array([v for part in parts for v in part])
    time = np.arange(len(flat), dtype=np.int64) * 3
    bounds = np.concatenate([[0], np.cumsum([len(p) for p in parts])])
    got = stats(time, flat, bounds)
    for i, part in enumerate(parts):
        expected = naive.chunk_stats(time[bounds[i] : bounds[i + 1]].tolist(), part)
        for name, want in expected.items():
            have = float(got[name][i])
            assert have == pytest.approx(want, nan_ok=True), (name, part)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 99)), min_size=1, max_size=60),
    st.integers(1, 7),
)
def test_chunks_hold_every_sample_once_and_no_more_than_the_limit(rows, limit):
    series, time, number = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    flat = newest(Flat(series, time, number.astype(float)))
    assert dict(zip(zip(flat.series, flat.time, strict=True), flat.value, strict=True)) == {
        (s, t): v for s, t, v in zip(series, time, number, strict=True)
    }
    table = chunk_table(flat, limit).to_pandas()
    assert table["count"].sum() == len(flat.time)
    assert table["count"].between(1, limit).all()
    assert table.groupby("time_group")[["t_min", "t_max", "count"]].nunique().max().max() == 1
    per_series = table.groupby("series_id")["count"].agg(["min", "max"])
    assert (per_series["max"] - per_series["min"] <= 1).all()


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.dictionaries(text, text, max_size=4), min_size=1, max_size=5))
def test_canonical_labels_equal_plain_json(rows):
    frame = pd.DataFrame(rows, index=range(len(rows))).astype(object).fillna("")
    assert canonical(frame).tolist() == [naive.canonical_labels(row) for row in rows]
    assert [json.loads(t) for t in canonical(frame)] == [{k: v for k, v in row.items() if v} for row in rows]
