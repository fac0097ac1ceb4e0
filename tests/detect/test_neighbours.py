"""Which series moved along, against the obvious way; likeness; decomposition."""

from __future__ import annotations

import json
import time as clock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.detect.decompose import decompose
from workbench.detect.likeness import Past, alike, parse_signature, signature
from workbench.detect.neighbours import neighbours
from workbench.errors import ShapeError


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 6),
    st.integers(9, 40),
    st.floats(0, 0.4),
    st.sampled_from([1.0, 1e300, 1e-300]),
)
def test_neighbours_are_those_of_the_obvious_way(seed: int, n: int, t: int, gaps: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    block = np.round(rng.normal(size=(n, t)), 1)
    block[1] = np.roll(block[0], 2) * 3
    block[rng.random((n, t)) < gaps] = np.nan
    column, row = int(rng.integers(t)), int(rng.integers(n))
    found = neighbours(block * size, row, column, np.ones(n, bool), before=8, after=8, lags=3, least=0.0, most=n)
    if min(t, column + 9) - max(0, column - 8) < 8:
        assert found == []
        return
    wanted = naive.moved_along(block.tolist(), row, column, 3, 8)
    assert {each.row for each in found} == set(range(n)) - {row}
    for each in found:
        assert each.correlation == pytest.approx(wanted[each.row][0], abs=1e-6)
        assert abs(each.lag) <= 3


def test_one_that_follows_is_found_with_its_lag() -> None:
    rng = np.random.default_rng(0)
    block = rng.normal(size=(50, 200))
    block[7, 100:110] += 9
    block[9, 103:113] -= 9
    (found,) = neighbours(block, 7, 100, np.ones(50, bool), least=0.7)
    assert (found.row, found.lag) == (9, 3)
    assert found.correlation < -0.7
    assert neighbours(block, 7, 100, np.zeros(50, bool)) == []
    assert neighbours(block[:, :5], 7, 3, np.ones(50, bool)) == []
    assert neighbours(np.full((3, 60), np.nan), 0, 30, np.ones(3, bool)) == []


def test_thousands_of_series_take_milliseconds() -> None:
    block = np.random.default_rng(0).normal(size=(5_000, 61))
    began = clock.process_time()
    neighbours(block, 0, 30, np.ones(5_000, bool))
    assert clock.process_time() - began < 5


def test_signatures_are_small_numbers() -> None:
    made = signature({"season": 0.6, "shape": 0.4}, np.array([np.nan, 1e300, 5e299, np.nan]), 0.5, 3600.0, 1.0)
    assert all(abs(value) <= 2 for value in made.values())
    assert made["direction"] == 0.5
    empty = signature({}, np.empty(0), 0.1, 0.0, 0.0)
    assert [empty[f"form {i}"] for i in range(4)] == [0, 0, 0, 0]
    assert parse_signature(None) is None
    assert parse_signature('{"a": 1}') == {"a": 1.0}


def test_the_likest_come_first_and_one_anomaly_counts_once() -> None:
    times = pd.to_datetime(
        ["2026-01-01", "2026-01-01T00:05", "2026-01-03", "2026-01-04", "2026-01-05"], format="ISO8601"
    )
    frame = pd.DataFrame(
        {
            "time": times, "title": "x", "metric": ["m", "m", "m", "other", "m"], "series": ["a", "a", "b", "a", "a"],
            "signature": ['{"s": 0.1}', '{"s": 0.1}', '{"s": 0.2}', '{"s": 0.2}', '{"s": 0.2}'],
        }
    )  # fmt: skip
    found = alike({"time": times[4], "metric": "m", "series": "a", "signature": '{"s": 0.2}'}, Past(frame))
    assert [(each.row, round(each.distance, 3)) for each in found] == [(1, 0.1), (2, 0.25)]
    far = alike({"time": times[4], "metric": "m", "series": "a", "signature": '{"s": 5.0}'}, Past(frame))
    assert far == []


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.floats(-2, 2), max_size=4), min_size=2, max_size=6))
def test_distances_are_those_of_the_obvious_way(signatures: list[dict[str, float]]) -> None:
    frame = pd.DataFrame({"signature": [json.dumps(each) for each in signatures], "metric": "m", "series": "s"})
    frame["time"] = pd.Timestamp("2026-01-01")
    past = Past(frame)
    kept = [each for each in signatures if each]
    found = past.distances({"a": 1.0, "z": 0.5}, np.arange(len(kept)))
    for each, distance in zip(kept, found, strict=True):
        assert distance == pytest.approx(naive.signature_distance({"a": 1.0, "z": 0.5}, each))


def test_a_day_is_taken_apart() -> None:
    at, rng = np.arange(9 * 288), np.random.default_rng(0)
    season = 30 * np.sin(2 * np.pi * at / 288)
    values = 100 + 0.01 * at + season + rng.normal(0, 1, len(at))
    values[1000:1006] += 200
    values[50:60] = np.nan
    parts = decompose(values, step=300.0)
    assert parts.period == 288
    assert np.abs(parts.season - season).max() < 4
    assert np.abs(parts.trend - 100 - 0.01 * at).max() < 2
    assert np.nanargmax(parts.rest) in range(1000, 1006)
    known = np.isfinite(values)
    np.testing.assert_allclose((parts.trend + parts.season + parts.rest)[known], values[known])
    assert np.isnan(parts.rest[50:60]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_its_parts_have_the_scale_of_the_series(scale: float) -> None:
    values = 3 + np.sin(np.arange(400) / 400 * 2 * np.pi * 10)
    one, other = decompose(values, step=1.0), decompose(values * scale, step=1.0)
    assert one.period == other.period == 40
    np.testing.assert_allclose(other.season, one.season * scale, rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, 2.0], [np.nan] * 50, [5.0] * 600, [1e308, -1e308] * 50, [5e-324] * 9]
)
def test_odd_series_are_taken_apart_too(values: list[float]) -> None:
    parts = decompose(np.array(values), step=900.0)
    assert len(parts.trend) == len(parts.season) == len(parts.rest) == len(values)
    assert np.isfinite(parts.trend).all() == bool(np.isfinite(values).any() or not values)


def test_only_one_series_is_decomposed_at_a_time() -> None:
    with pytest.raises(ShapeError, match="one series"):
        decompose(np.zeros((2, 10)))
