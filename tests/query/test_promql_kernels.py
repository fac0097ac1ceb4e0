"""The compiled loops against the slow twins, and against the numpy forms that small inputs take."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import naive
from tests.query.memory import SECOND, at, memory, seconds
from workbench.query.promql import evaluate_value, ranking, windows

times = st.lists(st.integers(0, 300), unique=True, min_size=1, max_size=25).map(sorted)
values = st.integers(-5, 20).map(float) | st.sampled_from([math.nan, 1e6, -0.0])
several = st.lists(
    times.flatmap(lambda ts: st.tuples(*[st.tuples(st.just(t), values) for t in ts])), min_size=1, max_size=4
)
FUNCTIONS = ["rate({})", "increase({})", "delta({})", "max_over_time({})", "min_over_time({})", "stddev_over_time({})",
             "stdvar_over_time({})", "deriv({})", "predict_linear({}, 60)", "quantile_over_time(0.3, {})",
             "quantile_over_time(1, {})"]  # fmt: skip


@pytest.fixture
def compiled(monkeypatch):
    """Make every input worth a compiled loop."""
    monkeypatch.setattr(windows, "HEAVY", 0)


def labelled(series):
    return [({"metric": "m", "i": str(i)}, list(samples)) for i, samples in enumerate(series)]


def run(data, expr, step=15, semantics="3"):
    return evaluate_value(data, expr, at(0), at(330), seconds(step), semantics=semantics)


def assert_same(one, other):
    order = [v.labels.order() for v in (one, other)]
    a, b = one.take(order[0]), other.take(order[1])
    np.testing.assert_array_equal(a.present, b.present)
    np.testing.assert_allclose(a.values[a.present], b.values[b.present], rtol=1e-9, atol=1e-9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several, st.sampled_from([30, 60, 200]), st.sampled_from(FUNCTIONS), st.sampled_from(["2", "3"]))
def test_functions_as_for_small_inputs(monkeypatch, series, length, function, semantics):
    data, expr = memory(labelled(series)), function.format(f"m[{length}s]")
    monkeypatch.setattr(windows, "HEAVY", 10**9)
    small = run(data, expr, semantics=semantics).value
    monkeypatch.setattr(windows, "HEAVY", 0)
    with np.errstate(all="ignore"):
        assert_same(run(data, expr, semantics=semantics).value, small)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several, st.sampled_from([30, 60, 200]), st.sampled_from(["min", "max", "stddev"]))
def test_over_time_twin(compiled, series, length, name):
    got = run(memory(labelled(series)), f"{name}_over_time(m[{length}s])")
    for i, samples in enumerate(series):
        row = np.flatnonzero(got.value.labels.column("i") == str(i))
        if name == "stddev" and any(math.isnan(v) for _, v in samples):
            continue
        for k, now in enumerate(got.steps):
            plain = [(t * SECOND, v) for t, v in samples if not math.isnan(v)]
            want = naive.over_time(f"{name}_over_time", plain, int(now) - length * SECOND, int(now))
            if want is not None:
                assert got.value.values[row[0], k] == pytest.approx(want, rel=1e-9, abs=1e-9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several, st.sampled_from([30, 60, 200]), st.floats(0, 1))
def test_quantile_twin(compiled, series, length, q):
    got = run(memory(labelled(series)), f"quantile_over_time({q!r}, m[{length}s])")
    for i, samples in enumerate(series):
        row = np.flatnonzero(got.value.labels.column("i") == str(i))
        for k, now in enumerate(got.steps):
            inside = naive.window([(t * SECOND, v) for t, v in samples], int(now) - length * SECOND, int(now))
            if inside:
                want = naive.ranked_quantile([v for _, v in inside], q)
                assert got.value.values[row[0], k] == pytest.approx(want, rel=1e-9, abs=1e-9, nan_ok=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several, st.sampled_from(["sum", "avg", "count"]))
def test_sums_as_for_small_inputs(monkeypatch, series, op):
    data, expr = memory(labelled(series)), f"{op}(m)"
    monkeypatch.setattr(windows, "HEAVY", 10**9)
    small = run(data, expr).value
    monkeypatch.setattr(windows, "HEAVY", 0)
    assert_same(run(data, expr).value, small)


@settings(max_examples=100)
@given(
    st.lists(
        st.lists(st.integers(0, 4).map(float) | st.just(math.nan), min_size=3, max_size=3), min_size=1, max_size=9
    ),
    st.integers(0, 4),
)
def test_topk_twin(rows, k):
    table = np.array(rows)
    codes = np.arange(len(rows)) % 2
    chosen = ranking.best(table, np.ones(table.shape, bool), codes, 2, np.full(3, k))
    for j in range(3):
        for g in (0, 1):
            column = [(i, rows[i][j]) for i in range(len(rows)) if codes[i] == g]
            assert {i for i, _ in column if chosen[i, j]} == naive.heap_top(column, k)


def test_topk_compiled_is_the_same_loop(monkeypatch):
    rng = np.random.default_rng(3)
    table, codes = rng.integers(0, 5, (40, 30)).astype(float), rng.integers(0, 3, 40)
    args = (table, rng.random(table.shape) < 0.8, codes, 3, np.full(30, 4))
    plain = ranking.best(*args)
    monkeypatch.setattr(ranking, "_FEW", 0)
    np.testing.assert_array_equal(ranking.best(*args), plain)
