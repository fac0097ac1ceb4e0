"""Native histograms: arithmetic, resets and quantiles against slow twins; what functions and operators make of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.query.memory import SECOND, Memory, at, seconds
from workbench.query.promql import evaluate, evaluate_value
from workbench.query.promql import histogram_reads as reads
from workbench.query.promql.histogram_math import Terms, combine, equal, resets
from workbench.query.promql.histogram_trim import trim
from workbench.signals import Histogram, build_samples, concat_samples, pack_histograms
from workbench.signals.histograms import CUSTOM, GAUGE

counts = st.dictionaries(st.integers(-6, 9), st.integers(0, 5).map(float), max_size=6)


@st.composite
def histograms(draw, thresholds=(0.0, 0.001, 0.3, 1.5)):
    positive, negative = draw(counts), draw(counts)
    zero = float(draw(st.integers(0, 3)))
    total = zero + sum(positive.values()) + sum(negative.values())
    threshold = draw(st.sampled_from(thresholds))
    return Histogram(
        total, float(draw(st.integers(-9, 9))), draw(st.integers(-1, 2)), threshold, zero, positive, negative
    )


def clear(h):
    """Return a histogram without buckets that its zero bucket cuts, which no producer makes."""

    def outside(side):
        return {i: n for i, n in side.items() if naive.exponential_bound(i - 1, h.schema) >= h.zero_threshold}

    positive, negative = outside(h.positive), outside(h.negative)
    total = h.zero_count + sum(positive.values()) + sum(negative.values())
    return replace(h, positive=positive, negative=negative, count=total)


clean = histograms().map(clear)


def populated(side):
    return {i: n for i, n in side.items() if n}


@settings(max_examples=200)
@given(clean, clean, st.sampled_from([1.0, -1.0, 0.5]))
def test_sum_twin(a, b, weight):
    pool = pack_histograms([a, b])
    got = combine(pool, Terms(np.array([0, 1]), np.array([0, 0]), np.array([1.0, weight]), 1)).pool.unpack(0)
    want = naive.add_histograms(a, b, weight)
    assert (got.schema, got.zero_threshold) == (want.schema, want.zero_threshold)
    assert (got.count, got.sum, got.zero_count) == (want.count, want.sum, want.zero_count)
    assert populated(got.positive) == want.positive
    assert populated(got.negative) == want.negative


@settings(max_examples=200)
@given(clean, clean)
def test_reset_twin(before, now):
    pool = pack_histograms([before, now])
    assert resets(pool, np.array([1]), np.array([0]))[0] == naive.histogram_reset(before, now)


@settings(max_examples=200)
@given(st.lists(clean, min_size=1, max_size=4), st.floats(0, 1))
def test_quantile_twin(some, q):
    got = reads.quantile(pack_histograms(some).compact(), np.full(len(some), q)).values
    for value, h in zip(got, some, strict=True):
        bare = replace(h, positive=populated(h.positive), negative=populated(h.negative))
        assert value == pytest.approx(naive.native_quantile(bare, q), rel=1e-9, abs=1e-12, nan_ok=True)


@settings(max_examples=100)
@given(clean, st.floats(0.01, 0.99))
def test_fraction_is_the_inverse_of_quantile(h, q):
    pool = pack_histograms([h]).compact()
    if not h.count:
        return
    bound = reads.quantile(pool, np.array([q])).values
    share = reads.fraction(pool, np.array([-np.inf]), bound).values[0]
    assert share >= q - 1e-6 or bound[0] == 0 or h.zero_threshold == 0


@settings(max_examples=100)
@given(clean, st.floats(-20, 20))
def test_what_is_trimmed_on_both_sides_adds_up(h, value):
    pool = pack_histograms([h])
    below, above = (trim(pool, np.array([value]), above=side) for side in (True, False))
    assert below.count[0] + above.count[0] == pytest.approx(h.count)
    assert below.count[0] >= -1e-9
    assert above.count[0] >= -1e-9


@given(clean)
def test_one_histogram_survives_packing(h):
    pool = pack_histograms([h, h])
    assert pool.unpack(1) == replace(
        h, positive=dict(sorted(h.positive.items())), negative=dict(sorted(h.negative.items()))
    )
    assert equal(pool.compact(), np.array([0]), np.array([1]))[0]


def custom(total, bounds, buckets, hint=0):
    return Histogram(total, total, CUSTOM, positive=dict(enumerate(buckets)), bounds=bounds, hint=hint)


def test_custom_bounds_are_brought_together():
    pool = pack_histograms([custom(6.0, (1.0, 2.0, 5.0), [1.0, 2.0, 3.0]), custom(4.0, (2.0, 9.0), [4.0])])
    done = combine(pool, Terms(np.array([0, 1]), np.array([0, 0]), np.ones(2), 1))
    assert done.reconciled[0]
    assert done.pool.unpack(0).bounds == (2.0,)
    assert done.pool.unpack(0).positive == {0: 7.0, 1: 3.0}


def test_mixed_buckets_give_nothing():
    pool = pack_histograms([custom(1.0, (1.0,), [1.0]), Histogram(1.0, 1.0, positive={1: 1.0})])
    assert combine(pool, Terms(np.array([0, 1]), np.array([0, 0]), np.ones(2), 1)).mixed[0]


def stored(values, name="h"):
    """Return a selector over one series of numbers and histograms, a minute apart."""
    held = [v for v in values if isinstance(v, Histogram)]
    rows, k = [], 0
    for v in values:
        rows.append(k if isinstance(v, Histogram) else -1)
        k += isinstance(v, Histogram)
    time = np.arange(len(values)) * 60 * SECOND
    numbers = [0.0 if isinstance(v, Histogram) else v for v in values]
    return Memory(
        build_samples(
            [{"metric": name}], np.zeros(len(values)), time, numbers, row=rows, histograms=pack_histograms(held)
        )
    )


GROWING = [Histogram(4.0 * k, 5.0 * k, positive={0: 1.0 * k, 1: 2.0 * k, 2: 1.0 * k}) for k in range(1, 12)]


def run(data, expr, start=600.0, end=None, step=60):
    return evaluate_value(data, expr, at(start), at(start if end is None else end), seconds(step))


def only(data, expr, start=600.0):
    value = run(data, expr, start).value
    assert value.present.shape == (1, 1)
    assert value.present.all()
    return value.values[0, 0] if value.rows is None else value.pool.unpack(int(value.rows[0, 0]))


def test_functions_of_histograms():
    data = stored(GROWING)
    assert only(data, "histogram_count(h)") == 44.0
    assert only(data, "histogram_avg(h)") == pytest.approx(1.25)
    assert only(data, "histogram_quantile(0.5, h)") == pytest.approx(math.sqrt(2))
    assert only(data, "histogram_fraction(1, 2, h)") == pytest.approx(0.5)
    growth = only(data, "rate(h[5m])")
    assert growth.hint == GAUGE
    assert growth.count == pytest.approx(4 / 60)
    assert only(data, "histogram_count(sum_over_time(h[3m]))") == 9 * 4 + 10 * 4 + 11 * 4
    assert only(data, "histogram_count(avg_over_time(h[3m]))") == pytest.approx(40.0)


def test_a_range_query_takes_many_histograms_at_once():
    data = stored(GROWING)
    got = run(data, "histogram_count(increase(h[3m]))", 240, 600).value
    # Two samples in each left-open window of three minutes and one on its edge: extrapolated to three.
    np.testing.assert_allclose(got.values, [[12.0] * 7])


def test_numbers_and_histograms_do_not_mix():
    data = stored([1.0, 2.0, *GROWING[:3]])
    found = run(data, "sum_over_time(h[10m])", 240)
    assert not found.value.present.any()
    assert found.notes == ['PromQL warning: encountered a mix of histograms and floats for metric name "h" (1:15)']
    assert only(data, "count_over_time(h[10m])", 240) == 5.0
    assert only(data, "max_over_time(h[10m])", 240) == 2.0
    assert only(data, "changes(h[10m])", 240) == 4.0


def test_an_array_shows_histograms_beside_the_numbers():
    array = evaluate(stored(GROWING), "h", at(0), at(120), seconds(60))
    assert np.isnan(array.values).all()
    assert array.attrs["histogram_rows"].tolist() == [[0, 1, 2]]
    assert array.attrs["histograms"].unpack(1) == GROWING[1]


def test_histograms_survive_taking_and_joining_samples():
    samples = stored(GROWING).samples
    twice = concat_samples([samples, stored([5.0, GROWING[0]], "other").samples])
    assert twice.n_samples == 13
    rows = twice.row[twice.row >= 0]
    assert [twice.histograms.unpack(int(r)) for r in rows] == [*GROWING, GROWING[0]]
    assert twice.take(np.array([1])).row.tolist()[0] == -1
    assert samples.between(at(60), at(180)).row.tolist() == [1, 2]


def test_bucket_list_and_text():
    pool = pack_histograms([Histogram(7.0, 2.5, 0, 0.001, 1.0, {1: 2.0}, {1: 4.0})])
    assert reads.bucket_list(pool, 0) == [(1, -2.0, -1.0, 4.0), (3, -0.001, 0.001, 1.0), (0, 1.0, 2.0, 2.0)]
    assert reads.spelled(pool, 0) == "{count:7, sum:2.5, [-2,-1):4, [-0.001,0.001]:1, (1,2]:2}"
