"""The compiled loops against the slow twins, and against the numpy forms that small inputs take."""

from __future__ import annotations

import math
import os
import subprocess
import sys

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
             "quantile_over_time(1, {})", "sum_over_time({})", "avg_over_time({})"]  # fmt: skip


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


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 1500), max_size=12), st.sampled_from([20, 700, 4000]), st.booleans())
def test_resets_of_long_series_twin(compiled, fallen, length, gap):
    level, samples = 0.0, []
    for k in range(1500):
        level = 0.0 if k in fallen or (k % 256 == 1 and len(fallen) > 6) else level + 1.0
        if not (gap and 400 < k < 700):
            samples.append((5 * k, level))
    data = memory([({"metric": "m"}, samples)])
    got = evaluate_value(data, f"increase(m[{length}s])", at(0), at(7700), seconds(61))
    plain = [(t * SECOND, v) for t, v in samples]
    for k, now in enumerate(got.steps):
        want = naive.extrapolated(plain, int(now) - length * SECOND, int(now), counter=True)
        row = got.value
        assert (row.labels.n > 0 and bool(row.present[0, k])) == (want is not None)
        if want is not None:
            assert row.values[0, k] == pytest.approx(want, rel=1e-12)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(-9, 9).map(float) | st.sampled_from([1e100, -1e100, 1e16, math.inf]), max_size=40), st.data()
)
def test_sums_of_windows_twin(compiled, terms, data):
    border = st.integers(0, len(terms))
    pairs = [sorted(data.draw(st.tuples(border, border))) for _ in range(6)]
    low, high = np.array(pairs, np.int64).T
    for got, (start, stop) in zip(windows.totals(np.array(terms), low, high), pairs, strict=True):
        own = terms[start:stop]
        huge = {abs(x) for x in own} & {1e100, 1e16}
        if len(huge) < 2:  # of three sizes compensation loses the least
            assert got == pytest.approx(math.fsum(own), rel=1e-15, abs=0)


@pytest.mark.slow
def test_no_loop_reads_outside_its_arrays(tmp_path):
    code = (
        "import numpy as np\n"
        "from workbench.query.promql import evaluate_value, windows\n"
        "from workbench.signals import build_samples\n"
        "windows.HEAVY = 0\n"
        "class Memory:\n"
        "    def __init__(self, samples): self.samples = samples\n"
        "    def select(self, matchers, start=None, end=None): return self.samples\n"
        "rng = np.random.default_rng(2)\n"
        "asked = ['rate(m[2m])', 'delta(m[10s])', 'max_over_time(m[1m])', 'stddev_over_time(m[1m])', 'deriv(m[5m])',\n"
        "         'quantile_over_time(0.4, m[1m])', 'avg_over_time(m[1m])', 'topk(2, m)', 'sum by (j) (rate(m[1m]))', 'm']\n"
        "right = 0\n"
        "for size in (0, 1, 2, 300, 1100):\n"
        "    labels = [{'metric': 'm', 'i': str(i), 'j': str(i % 2)} for i in range(5)]\n"
        "    row = np.sort(rng.integers(0, 5, size))\n"
        "    time = np.sort(rng.integers(0, 3000, size)) * 10**9\n"
        "    samples = build_samples(labels, row, time, rng.integers(0, 50, size).astype(float))\n"
        "    for expr in asked:\n"
        "        for ask in (0, 900, 4000):\n"
        "            times = np.datetime64(ask, 's'), np.datetime64(ask + 600, 's')\n"
        "            evaluate_value(Memory(samples), expr, *times, np.timedelta64(17, 's')); right += 1\n"
        "print('right', right)\n"
    )
    setting = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=setting, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["right", "150"]
