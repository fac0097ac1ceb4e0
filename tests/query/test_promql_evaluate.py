"""Evaluation: selectors and staleness, range functions and aggregations against their twins, matching, limits."""

from __future__ import annotations

import math
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from tests.query.memory import SECOND, Memory, at, memory, seconds
from workbench.errors import InvalidInput, LimitExceeded, QueryError
from workbench.query.promql import Limits, evaluate, evaluate_value
from workbench.signals import build_samples, check_metrics, labels_of
from workbench.signals.samples import STALE_NAN

COUNTER = [({"metric": "x_total", "job": job, "i": i}, [(15 * k, k * rate) for k in range(41)]) for job, i, rate in
           (("a", "1", 1.0), ("a", "2", 2.0), ("b", "1", 3.0))]  # fmt: skip


def run(selector, expr, start=600.0, end=None, step=60.0, **options):
    return evaluate(selector, expr, at(start), at(start if end is None else end), seconds(step), **options)


def table(array, column=0):
    """Return labels (as a dict without empty ones) and the value at one step, as a list."""
    rows = labels_of(array).to_dict("records")
    return [
        ({k: v for k, v in row.items() if v}, value) for row, value in zip(rows, array.values[:, column], strict=True)
    ]


def test_sum_of_rates():
    array = run(memory(COUNTER), "sum by (job) (rate(x_total[5m]))", 300, 600, 150)
    assert check_metrics(array).shape == (2, 3)
    assert array.coords["job"].values.tolist() == ["a", "b"]
    np.testing.assert_allclose(array.values, [[0.2] * 3, [0.2] * 3])


def test_names_stay_on_selectors_and_go_with_functions():
    data = memory(COUNTER)
    assert run(data, "x_total").coords["metric"].values.tolist() == ["x_total"] * 3
    assert table(run(data, 'rate(x_total{job="b"}[1m])')) == [({"job": "b", "i": "1"}, pytest.approx(0.2))]
    assert table(run(data, 'last_over_time(x_total{job="b"}[1m])'))[0][0]["metric"] == "x_total"


def test_rows_are_sorted_by_labels():
    assert [row["i"] + row["job"] for row, _ in table(run(memory(COUNTER), "x_total"))] == ["1a", "1b", "2a"]


def test_a_label_called_metric_survives():
    data = memory([({"metric": "m", "metric_": "inner"}, [(600, 1.0)])])
    assert table(run(data, 'm{metric="inner"}')) == [({"metric": "m", "metric_": "inner"}, 1.0)]
    assert table(run(data, "sum by (metric) (m)")) == [({"metric_": "inner"}, 1.0)]


def test_lookback_is_left_open_and_stale_markers_end_a_series():
    data = memory([({"metric": "m"}, [(0, 1.0), (400, 2.0), (415, float(STALE_NAN)), (500, float("nan"))])])
    found = run(data, "m", 0, 900, 1).values[0]
    assert found[0] == found[299] == 1.0
    assert np.isnan(found[300:400]).all()
    assert found[400] == found[414] == 2.0
    assert np.isnan(found[415:]).all()
    value = evaluate_value(data, "m", at(500), at(500), seconds(1)).value
    assert value.present.all(), "an ordinary NaN is a value"
    assert run(data, "count_over_time(m[1h])", 600).values.tolist() == [[3.0]], "stale markers are not in ranges"


def test_offset_and_at():
    data = memory(COUNTER)
    assert run(data, 'x_total{job="b"} offset 5m').values.tolist() == [[60.0]]
    assert run(data, 'x_total{job="b"} @ 15', 0, 600, 300).values.tolist() == [[3.0] * 3]
    assert run(data, 'x_total{job="b"} @ start()', 300, 600, 300).values.tolist() == [[60.0] * 2]
    assert run(data, 'x_total{job="b"} @ end() offset 15s', 300, 600, 300).values.tolist() == [[117.0] * 2]


def test_subquery_steps_are_absolute():
    data = memory([({"metric": "m"}, [(0, 1.0), (10, 2.0)])])
    assert run(data, "sum_over_time(m[50s:5s])", 10).values.tolist() == [[4.0]]
    assert run(data, "max_over_time(rate(m[20s])[20s:10s])", 20).values.size == 1


def test_scalars_and_strings():
    assert run(memory([]), "1 + 2 * 3", 0, 60, 30).values.tolist() == [[7.0] * 3]
    assert run(memory([]), "time()", 0, 60, 30).values.tolist() == [[0.0, 30.0, 60.0]]
    with pytest.raises(QueryError, match="gives a string"):
        run(memory([]), '"a"')
    with pytest.raises(QueryError, match="gives a range vector"):
        run(memory([]), "x[5m]")


def test_nothing_selected():
    exprs = [
        *(
            "x",
            "rate(x[5m])",
            "sum(x)",
            "x + x",
            "x or x",
            "topk(1, x)",
            "quantile(0.5, x)",
            "count_values('v', x)",
            "sort(x)",
        ),
        *("histogram_quantile(0.9, x)", "label_replace(x, 'a', 'b', 'c', 'd')", "avg_over_time(x[5m:1m])", "abs(x)"),
    ]
    for expr in exprs:
        array = run(memory(COUNTER), expr, 300, 600, 100)
        assert array.shape == (0, 4), expr
    assert run(memory(COUNTER), "absent(x{a='b'})").values.tolist() == [[1.0]]


def test_binary_operations():
    data = memory(COUNTER)
    assert table(run(data, "sum by (job) (x_total) / on (job) count by (job) (x_total)")) == [
        ({"job": "a"}, 60.0),
        ({"job": "b"}, 120.0),
    ]
    assert len(table(run(data, "x_total > 50"))) == 2
    assert [v for _, v in table(run(data, "x_total > bool 50"))] == [0.0, 1.0, 1.0]
    ratio = run(data, "x_total / on (job) group_left sum by (job) (x_total)")
    assert [v for _, v in table(ratio)] == [pytest.approx(1 / 3), 1.0, pytest.approx(2 / 3)]
    assert len(table(run(data, 'x_total{job="a"} or x_total{i="1"}'))) == 3
    assert len(table(run(data, 'x_total unless x_total{i="1"}'))) == 1


@pytest.mark.parametrize(
    ("expr", "says"),
    [
        ("x_total + on (job) x_total", 'found duplicate series for the match group {job="a"} on the right'),
        ('x_total + on (job) x_total{i="1"}', "many-to-one matching must be explicit"),
        ("x_total + on (job) group_left x_total", "found duplicate series"),
        ("x_total + on (i) group_right x_total", "on the left hand-side"),
        ('label_replace(x_total, "i", "", "", "")', "same labelset"),
        ("topk(NaN, x_total)", "NaN"),
        ('label_replace(x_total, "a", "", "i", "(")', "invalid regular expression"),
    ],
)
def test_matching_errors_name_the_labels(expr, says):
    with pytest.raises(QueryError) as caught:
        run(memory(COUNTER), expr)
    assert says in str(caught.value)


def test_duplicates_that_never_meet_are_one_series():
    data = memory([({"metric": "a"}, [(0, 1.0)]), ({"metric": "b"}, [(900, 2.0)])])
    array = run(data, '-{__name__=~"a|b"}', 0, 900, 450)
    np.testing.assert_array_equal(array.values, [[-1.0, np.nan, -2.0]])


def test_topk_and_sort_order_instant_results():
    data = memory(COUNTER)
    assert [v for _, v in table(run(data, "topk(2, x_total)"))] == [120.0, 80.0]
    assert [v for _, v in table(run(data, "sort(x_total)"))] == [40.0, 80.0, 120.0]
    assert [row["i"] for row, _ in table(run(data, 'sort_by_label_desc(x_total, "i")'))] == ["2", "1", "1"]


def test_label_functions():
    data = memory(COUNTER)
    replaced = run(data, 'label_replace(x_total{job="b"}, "to", "${1}-$2-$$-$name", "job", "(?P<name>b)()")')
    assert table(replaced)[0][0]["to"] == "b--$-b"
    joined = run(data, 'label_join(x_total{job="b"}, "to", "/", "job", "nope", "i")')
    assert table(joined)[0][0]["to"] == "b//1"


def test_notes():
    data = memory([({"metric": "m", "le": "x"}, [(600, 1.0)])])
    notes = run(data, "histogram_quantile(2, m)").attrs["notes"]
    assert notes == [
        "PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)",
        'PromQL warning: bucket label "le" is missing or has a malformed value of "x" for metric name "m" (1:23)',
    ]
    assert "notes" not in run(data, "m").attrs


def test_limits_are_checked_before_memory_is_taken():
    data = memory(COUNTER)
    with pytest.raises(LimitExceeded, match="3 series x 601 steps = 1803 cells"):
        run(data, "x_total", 0, 600, 1, limit=1000)
    with pytest.raises(LimitExceeded, match="2000000001 steps"):
        run(data, "x_total", 0, 2_000_000, 0.001)
    with pytest.raises(LimitExceeded, match="the subquery has"):
        run(data, "sum_over_time(x_total[1h:1ms])", 0, 600, 60, limit=10_000)
    with pytest.raises(QueryError, match="longer than zero"):
        run(data, "x_total", 0, 600, 0)
    with pytest.raises(QueryError, match="before it starts"):
        run(data, "x_total", 600, 0)


class Counting(Memory):
    """A selector that knows how much it holds before it reads, and counts how often it is read."""

    reads = 0

    def count(self, matchers, start=None, end=None):
        found = Memory.select(self, matchers, start, end)
        return len(found), found.n_samples

    def select(self, matchers, start=None, end=None, *, check=None):
        check(*self.count(matchers, start, end))
        self.reads += 1
        return super().select(matchers, start, end)


def test_a_query_that_touches_too_much_is_refused_before_it_is_read():
    data = Counting(memory(COUNTER).samples)
    with pytest.raises(LimitExceeded, match=r"touches 123 samples; at most 100 are allowed.*query.max_samples"):
        run(data, "rate(x_total[1h])", 600, limits=Limits(10, 100))
    with pytest.raises(LimitExceeded, match="touches 3 series; at most 2"):
        run(data, "x_total", 600, limits=Limits(2, 100))
    assert data.reads == 0
    with pytest.raises(LimitExceeded, match="touches 4 series"):  # one selector after the other
        run(data, 'x_total + on (i) group_left x_total{job="b"}', 600, limits=Limits(3, 10_000))


def test_limits_are_settings(monkeypatch):
    monkeypatch.setenv("WORKBENCH_QUERY_MAX_SAMPLES", "7")
    with pytest.raises(LimitExceeded, match="at most 7 are allowed"):
        run(memory(COUNTER), "rate(x_total[1h])", 600)


def test_an_interrupt_ends_a_query():
    class Interrupting(Memory):
        def select(self, matchers, start=None, end=None):
            os.kill(os.getpid(), signal.SIGINT)
            return super().select(matchers, start, end)

    with pytest.raises(KeyboardInterrupt):
        run(Interrupting(memory(COUNTER).samples), "sum(rate(x_total[1h]))", 0, 600)


def test_no_regular_expression_is_slow():
    data = memory([({"metric": "m", "l": "a" * 30_000}, [(600, 1.0)])])
    began = time.process_time()
    assert len(table(run(data, 'm{l=~"(a+)+b|(a|aa)+$"}'))) == 1
    assert table(run(data, 'label_replace(m, "x", "$1", "l", "(a*)*b")'))[0][0].get("x") is None
    assert time.process_time() - began < 2
    with pytest.raises(QueryError, match="RE2"):
        run(data, r"m{l=~`(a)\1`}")


@pytest.mark.parametrize(
    ("expr", "start", "end", "wants"),
    [
        ("rate(x_total[1m + 4m])", 600, 600, 0.2),
        ("rate(x_total[step() * 5])", 540, 600, 0.2),
        ("increase(x_total[range() * 5])", 540, 600, 60.0),
        ("x_total offset (2 * 1m)", 600, 600, 96.0),
        ("x_total offset -step() + 0", 480, 540, 120.0),
        ("x_total offset max_of(10s, step())", 540, 600, 108.0),
        ("rate(x_total[2 ^ 2 * 1m])", 600, 600, 0.2),
    ],
)
def test_durations_are_worked_out(expr, start, end, wants):
    data = memory(COUNTER[2:])
    assert run(data, expr, start, end, 60).values[0, -1] == pytest.approx(wants)


@pytest.mark.parametrize(
    ("expr", "says", "position"),
    [
        ("x_total[1m - 60s]", "duration must be greater than 0", 8),
        ("x_total[1m / 0]", "division by zero", 11),
        ("x_total[step() - 1m]", "duration must be greater than 0", 15),
        ("x_total[5m", 'expected ":" or "]"', 10),
        ("x_total offset (1m", 'expected ")"', 18),
        ("x_total[1m] anchored smoothed", "cannot be used together", 21),
        ("x_total + fill(0) fill(1) x_total", "after another fill", 18),
        ("1 + fill(0) x_total", "only allowed between instant vectors", 2),
        ("info(x_total, x_total)", "in braces", 14),
    ],
)
def test_what_is_new_is_refused_with_its_place(expr, says, position):
    with pytest.raises(QueryError) as caught:
        run(memory(COUNTER), expr, 0, 60, 60)
    assert says in str(caught.value)
    assert caught.value.position == position


def test_closed_ranges_as_in_prometheus_2():
    data = memory([({"metric": "m"}, [(0, 1.0), (60, 2.0), (360, 3.0)])])
    assert run(data, "count_over_time(m[1m])", 60).values.tolist() == [[1.0]]
    assert run(data, "count_over_time(m[1m])", 60, semantics="2").values.tolist() == [[2.0]]
    assert run(data, "m", 660, semantics="2").values.tolist() == [[3.0]]
    assert run(data, "m", 660).size == 0
    with pytest.raises(InvalidInput, match="semantics"):
        run(data, "m", semantics="1")


def test_filling_in_what_has_no_match():
    data = memory([({"metric": "a", "i": "1"}, [(0, 5.0)]), ({"metric": "b", "i": "2"}, [(0, 7.0)])])
    assert run(data, "a + on (i) b", 0).size == 0
    assert table(run(data, "a + on (i) fill(1) b", 0)) == [({"i": "1"}, 6.0), ({"i": "2"}, 8.0)]
    assert table(run(data, "a - on (i) fill_left(-2) b", 0)) == [({"i": "2"}, -9.0)]
    assert table(run(data, "a - on (i) fill_right(inf) b", 0)) == [({"i": "1"}, -math.inf)]


times = st.lists(st.integers(0, 600), unique=True, max_size=25).map(sorted)
finite = st.integers(-5, 20).map(float) | st.floats(-1e6, 1e6).map(lambda v: round(v, 3))
several = st.lists(
    times.flatmap(lambda ts: st.tuples(*[st.tuples(st.just(t), finite) for t in ts])), min_size=1, max_size=4
)
GRID = (st.sampled_from([30, 60, 200]), st.sampled_from([15, 60]), st.integers(0, 40))
FUNCTIONS = ["sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
             "present_over_time", "stddev_over_time", "changes", "resets", "deriv", "idelta", "irate"]  # fmt: skip


def labelled(series):
    return [({"metric": "m", "i": str(i)}, list(samples)) for i, samples in enumerate(series)]


@settings(max_examples=60)
@given(
    several, st.sampled_from([30, 60, 200]), st.sampled_from([15, 60]), st.integers(0, 40), st.sampled_from(FUNCTIONS)
)
def test_functions_twin(series, length, step, start, name):
    value = evaluate_value(memory(labelled(series)), f"{name}(m[{length}s])", at(start), at(start + 600), seconds(step))
    for i, samples in enumerate(series):
        for k, now in enumerate(value.steps):
            plain = [(t * SECOND, v) for t, v in samples]
            want = naive.over_time(name, plain, int(now) - length * SECOND, int(now))
            assert_cell(value.value, str(i), k, want)


@settings(max_examples=60)
@given(several, *GRID, st.sampled_from(["rate", "increase", "delta"]))
def test_extrapolation_twin(series, length, step, start, name):
    value = evaluate_value(memory(labelled(series)), f"{name}(m[{length}s])", at(start), at(start + 600), seconds(step))
    for i, samples in enumerate(series):
        for k, now in enumerate(value.steps):
            plain = [(t * SECOND, v) for t, v in samples]
            want = naive.extrapolated(plain, int(now) - length * SECOND, int(now), counter=name != "delta")
            assert_cell(value.value, str(i), k, want / length if name == "rate" and want is not None else want)


def assert_cell(vector, label, k, want):
    rows = np.flatnonzero(vector.labels.column("i") == label)
    if want is None:
        assert not len(rows) or not vector.present[rows[0], k]
        return
    assert vector.present[rows[0], k]
    assert vector.values[rows[0], k] == pytest.approx(want, rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(st.none() | finite, min_size=4, max_size=4)), min_size=1, max_size=6
    ),
    st.sampled_from(["sum", "avg", "min", "max", "count", "stddev"]),
)
def test_aggregations_twin(series, op):
    rows = [({"metric": "m", "i": str(i), "g": g}, [(600 * k, v) for k, v in enumerate(values) if v is not None])
            for i, (g, values) in enumerate(series)]  # fmt: skip
    value = evaluate_value(memory(rows), f"{op} by (g) (m)", at(0), at(1800), seconds(600)).value
    for group in "ab":
        row = np.flatnonzero(value.labels.column("g") == group)
        for k in range(4):
            values = [v[k] for g, v in series if g == group and v[k] is not None]
            if values:
                assert value.values[row[0], k] == pytest.approx(naive.aggregation(op, values), rel=1e-9, abs=1e-9)
            else:
                assert not len(row) or not value.present[row[0], k]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=1, max_size=3),
    st.sampled_from([(0.1, 1.0, 2.5, 10.0), (-1.0, 0.0, 0.5, 3.0)]),
    st.floats(0, 1),
)
def test_histogram_quantile_twin(histograms, bounds, q):
    bounds = (*bounds, math.inf)
    rows = []
    for h, counts in enumerate(histograms):
        for bound, total in zip(bounds, np.cumsum(counts).tolist(), strict=True):
            le = "+Inf" if math.isinf(bound) else str(bound)
            rows.append(({"metric": "m_bucket", "h": str(h), "le": le}, [(0, float(total))]))
    value = evaluate_value(memory(rows), f"histogram_quantile({q!r}, m_bucket)", at(0), at(0), seconds(1)).value
    for h, counts in enumerate(histograms):
        buckets = list(zip(bounds, np.cumsum(counts).tolist(), strict=True))
        row = np.flatnonzero(value.labels.column("h") == str(h))[0]
        assert value.values[row, 0] == pytest.approx(naive.bucket_quantile(q, buckets), rel=1e-9, nan_ok=True)


def test_large_sums_keep_small_terms():
    data = memory([({"metric": "m", "i": str(i)}, [(600, v)]) for i, v in enumerate([2.0, 8.0, 1e100, -1e100])])
    assert run(data, "sum(m)").values.tolist() == [[10.0]]
    data = memory([({"metric": "m"}, [(k, v) for k, v in enumerate([2.0, 8.0, 1e100, -1e100], 1)])])
    assert run(data, "sum_over_time(m[1m])", 10).values.tolist() == [[10.0]]
    data = memory([({"metric": "m"}, [(k, 1.5e308) for k in range(1, 5)])])
    assert run(data, "avg_over_time(m[1m])", 10).values.tolist() == [[1.5e308]]


def test_own_times_per_series_and_blocks_of_rows():
    rng = np.random.default_rng(1)
    n, m = 300, 120
    time = np.cumsum(rng.integers(1, 20, (n, m)), axis=1) * SECOND
    labels = [{"metric": "m_total", "i": str(i)} for i in range(n)]
    value = np.cumsum(rng.random((n, m)), axis=1)
    samples = build_samples(labels, np.repeat(np.arange(n), m), time.ravel(), value.ravel())
    got = evaluate_value(Memory(samples), "rate(m_total[2m])", at(0), at(1200), seconds(1))
    for i in (0, 7, 299):
        plain = list(zip(time[i].tolist(), value[i].tolist(), strict=True))
        for k in (130, 555, 1199):
            want = naive.extrapolated(plain, int(got.steps[k]) - 120 * SECOND, int(got.steps[k]), counter=True)
            assert_cell(got.value, str(i), k, None if want is None else want / 120)
