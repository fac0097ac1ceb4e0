"""Events, VUS-PR and the static rule beside twins that look at every row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.evaluate.labelled_files import series
from workbench.detect import Refractory
from workbench.evaluate.detection import count_events, mean_vus_pr
from workbench.evaluate.hold import usual_hold
from workbench.evaluate.labelled import LabelledSet
from workbench.evaluate.static_rule import static_scores
from workbench.evaluate.vus import soft_labels, vus_pr

SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.3, 0.8, 1.0]), min_size=1, max_size=30)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[float], list[tuple[int, int]]]:
    scores = draw(SCORES)
    cuts = sorted(draw(st.sets(st.integers(0, len(scores) - 1), max_size=4)))
    return scores, list(zip(cuts[::2], cuts[1::2], strict=False))


@given(labelled(), st.integers(0, 12))
def test_vus_equals_every_row_and_threshold(case: tuple[list[float], list[tuple[int, int]]], longest: int) -> None:
    scores, windows = case
    found = vus_pr(np.array(scores), np.array(windows, np.int64).reshape(-1, 2), longest, lengths=longest + 1)
    if not windows:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(naive.vus_pr(scores, windows, range(longest + 1)), abs=1e-12)
        assert 0 <= found <= 1 + 1e-12


def test_vus_by_hand() -> None:
    windows = np.array([[4, 5]])
    assert soft_labels(10, windows, 4).round(3).tolist() == [0, 0, 0.707, 0.866, 1, 1, 0.866, 0.707, 0, 0]
    exact = np.where((np.arange(10) >= 4) & (np.arange(10) <= 5), 1.0, 0.0)
    assert vus_pr(exact, windows, 0) == 1.0
    # One row late: half the window, then nothing but false rows at once.
    late = np.roll(exact, 1)
    assert vus_pr(late, windows, 0) == pytest.approx(0.5 * 0.5 + 0.5 * (0.5 + 0.2) / 2)
    assert vus_pr(late, windows, 4) > vus_pr(late, windows, 0)
    assert np.isnan(vus_pr(np.empty(0), windows[:0], 3))
    missing = np.where(exact > 0, exact, np.nan)
    assert vus_pr(missing, windows, 0) == 1.0


def test_vus_of_several_series_leaves_out_those_without_windows() -> None:
    rows = [series("a/f.csv", 40, [(30, 33)], 10), series("a/g.csv", 40, [], 10), series("a/h.csv", 40, [(2, 5)], 10)]
    scores = {one.key: np.where((np.arange(40) >= 30) & (np.arange(40) <= 33), 1.0, 0.0) for one in rows}
    assert mean_vus_pr(rows, scores) == vus_pr(scores["a/f.csv"][10:], np.array([[20, 23]]), 4)
    assert np.isnan(mean_vus_pr(rows[1:], scores))


@given(labelled(), st.integers(0, 10), st.sampled_from([0.0, 0.2, 0.3, 0.9, 2.0]))
def test_events_equal_row_by_row(
    case: tuple[list[float], list[tuple[int, int]]], probation: int, threshold: float
) -> None:
    scores, windows = case
    probation = min(probation, len(scores))
    one = series("a/f.csv", len(scores), windows, probation)
    events = count_events(LabelledSet([one], True), {one.key: np.array(scores)}, threshold)
    found, false_rows, false_episodes, true_episodes, delays = naive.event_counts(scores, windows, probation, threshold)
    assert (events.found, events.false_episodes, events.true_episodes) == (found, false_episodes, true_episodes)
    assert events.missed == len(windows) - found
    outside = sum(not any(a <= row <= b for a, b in windows) for row in range(probation, len(scores)))
    assert events.row_fpr == pytest.approx(false_rows / outside if outside else np.nan, nan_ok=True)
    assert events.delay_steps == pytest.approx(float(np.median(delays)) if delays else np.nan, nan_ok=True)
    assert None not in [events.to_json()[name] for name in ("windows", "found", "false_episodes")]


def test_weeks_and_thresholds_by_category() -> None:
    rows = [series("a/f.csv", 2016, [(1000, 1009)], 0), series("b/f.csv", 2016, [], 0)]
    scores = {one.key: np.zeros(2016) for one in rows}
    scores["a/f.csv"][[50, 51, 60, 1005]] = 0.5
    data = LabelledSet(rows, True)
    assert data.weeks() == pytest.approx(2.0)
    events = count_events(data, scores, {"a": 0.5, "b": 0.1})
    assert (events.false_episodes, events.false_per_week, events.delay_steps, events.delay_share) == (2, 1.0, 5.0, 0.5)
    assert (events.precision, events.recall) == (pytest.approx(1 / 3), 1.0)
    assert events.hit_share == 0.5
    assert count_events(data, scores, {"a": 0.9, "b": 0.1}).delay_share == 1.0
    assert np.isnan(count_events(data, scores, {"a": 0.9, "b": 0.1}).hit_share)
    assert LabelledSet(rows, True, week_rows=4032).weeks() == pytest.approx(1.0)


@given(
    st.lists(st.lists(st.one_of(st.floats(-1, 9), st.just(float("nan"))), min_size=12, max_size=12), max_size=3),
    st.integers(0, 8),
    st.sampled_from([1.0, 1.3, 2.0]),
)
def test_refractory_equals_looking_back(rows: list[list[float]], span: int, escalation: float) -> None:
    block = np.array(rows, np.float64).reshape(-1, 12)
    found = Refractory(60.0 * span, 0, escalation, habit=0.0).apply(block, step=60.0)
    twin = np.array([naive.quiet_after(row, span, escalation) for row in rows]).reshape(-1, 12)
    np.testing.assert_allclose(found, twin, rtol=1e-12)
    np.testing.assert_allclose(Refractory(0.0, span, escalation, habit=0.0).apply(block), twin, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1e308, -1e308, 5e-324, np.nan, np.inf])
def test_static_rule_of_hard_values(value: float) -> None:
    one = series("a/f.csv", 100, [(90, 95)], 15, value)
    one.grid[0, 92] = 7.0
    score = static_scores([one], usual_hold())[one.key]
    assert np.isfinite(score).all()
    assert (score >= 0).all()
