"""Raw samples of scrape targets as matrices: the same answers as samples gathered one series after the other."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import StoreError
from workbench.signals import Batch, Matcher, build_samples
from workbench.signals.samples import STALE_NAN
from workbench.store import Store, rollup_matrix, rollup_store
from workbench.store.rollup import roll
from workbench.store.rollup_matrix import Matrix, roll_matrix

S = 10**9
DAY = 86_400 * S
ORIGIN = 20_000 * DAY
EXACT = ("min", "max", "count", "first", "last", "delta")


def scrape(store, target, first, last, rng, series=6, every=60, odd=True):
    """Write hours (first, last] of a target, its series sharing instants that are no multiples of anything."""
    time = ORIGIN + np.arange(int(first * 3600) + every, int(last * 3600) + 1, every) * S
    time = time + rng.integers(0, 2, len(time)) * rng.integers(0, 999, len(time)) * 10**6
    n = len(time)
    value = rng.normal(size=(series, n)).cumsum(axis=1)
    value[::2] = np.round(value[::2], 2)
    if odd:
        value[1, rng.random(n) < 0.05] = np.nan
        value[1, rng.random(n) < 0.05] = STALE_NAN
        value[-1, rng.random(n) < 0.02] = np.inf
    labels = pd.DataFrame({"metric": [f"m{i}" for i in range(series)], "target": [target] * series})
    row = np.repeat(np.arange(series), n)
    store.write(Batch(build_samples(labels, row, np.tile(time, series).view("M8[ns]"), value.ravel())))


def asked(store, function, start, step, window, n):
    rollups = store._rollups
    found, values, _ = rollups.ask([], function, (start, start + n * step, step), window)
    return found, values


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two targets in two segments of several chunks, then late samples, a loner, and hot rows."""
    rng = np.random.default_rng(7)
    with Store.open(tmp_path_factory.mktemp("world") / "s") as store:
        for first, last in ((0, 20), (20, 31)):
            scrape(store, "a", first, last, rng)
            scrape(store, "b", first, last, rng, every=45)
            store.seal()
        scrape(store, "a", 10, 11, rng, series=2)
        scrape(store, "loner", 0, 30, rng, series=1, odd=False)
        store.seal()
        scrape(store, "b", 30.5, 31.5, rng, series=1, odd=False)
        yield store


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*EXACT, "avg", "sum", "increase"]),
    st.integers(-3600, 20 * 3600),
    st.sampled_from([7, 60, 300, 1800, 3600]),
    st.sampled_from([1, 1, 3]),
    st.integers(1, 60),
)
def test_matrices_answer_as_gathered_samples_do(world, function, start, step, factor, n):
    span = ORIGIN + start * S, step * S, factor * step * S, n
    seen = []
    real = rollup_store.matrices

    def watched(*given):
        left, found = real(*given)
        found = list(found)
        seen.extend(found)
        return left, found

    with patch.object(rollup_store, "matrices", watched):
        found, values = asked(world, function, *span)
    with patch.object(rollup_store, "matrices", lambda segments, hot, ids, *rest: (ids, ())):
        series, expected = asked(world, function, *span)
    assert found.tolist() == series.tolist()
    if function in EXACT:
        np.testing.assert_array_equal(values, expected)
    else:
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)
    assert seen or not len(found)
    assert all(part.value.shape == (len(part.series), len(part.time)) for part in seen)


def test_targets_come_as_matrices_and_what_needs_sorting_does_not(world):
    found = world._reader.refreshed().match([])
    with patch.object(rollup_store, "matrices", wraps=rollup_store.matrices) as watched:
        asked(world, "avg", ORIGIN + 300 * S, 300 * S, None, 370)
        calls = [call.args for call in watched.call_args_list]
    together, left = set(), set()
    for call in calls:
        alone, parts = rollup_matrix.matrices(*call)
        left |= set(alone.tolist())
        together |= {n for part in parts for n in part.series.tolist()}
    assert len(together) >= 10
    assert together | left == set(found.tolist())
    assert left & set(world._reader.index.match([Matcher("target", "=", "loner")]).tolist())


@given(st.data())
def test_buckets_of_a_matrix_are_those_of_its_samples(data):
    k, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 30))
    time = np.cumsum(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))) + 100
    one = st.sampled_from([0.5, 1.25, -3.0, 1e9, 0.1 + 0.2, 1e300, np.nan, STALE_NAN, np.inf])
    value = np.array(data.draw(st.lists(one, min_size=k * n, max_size=k * n))).reshape(k, n)
    step, phase = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 3))
    columns = ("count", "sum", "min", "max", "first", "last", "increase")
    rows = np.arange(k) * 2 + 1
    columns = columns if data.draw(st.booleans()) else ("count", "sum")
    expected = roll(np.repeat(rows, n), np.tile(time, k), value.ravel(), step, phase, columns)
    wanted = {(s, b): i for i, (s, b) in enumerate(zip(expected.series, expected.bucket, strict=True))}
    met = 0
    for buckets in roll_matrix(Matrix(rows, time, value), rows, step, phase, columns):
        at = [wanted[key] for key in zip(buckets.series, buckets.bucket, strict=True)]
        met += len(at)
        assert buckets.columns.keys() == set(columns)
        for name in columns:
            np.testing.assert_allclose(buckets.columns[name], expected.columns[name][at], rtol=1e-12)
    assert met == len(wanted)


def test_damage_in_a_target_is_named(tmp_path):
    with Store.open(tmp_path / "s") as store:
        scrape(store, "a", 0, 5, np.random.default_rng(0), odd=False)
        store.seal()
        file = next((tmp_path / "s").rglob("*.parquet"))
        data = bytearray(file.read_bytes())
        at = len(data) // 3
        data[at : at + 64] = bytes(64)
        file.write_bytes(data)
    with Store.open(tmp_path / "s") as store, pytest.raises(StoreError, match=r"is damaged where it holds .*target"):
        asked(store, "avg", ORIGIN + 300 * S, 300 * S, None, 50)
