"""NAB's rule: golden figures on real files, and a twin that follows the rule row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import naive
from tests.evaluate.labelled_files import series
from workbench.evaluate.detection import count_events, mean_vus_pr
from workbench.evaluate.hold import keep_all, usual_hold
from workbench.evaluate.labelled import Block, LabelledSeries, LabelledSet
from workbench.evaluate.leave_out import leave_out
from workbench.evaluate.nab import (
    PROFILES,
    Profile,
    best,
    best_of,
    contributions,
    count_windows,
    score_at,
    steady,
    sweep,
)
from workbench.evaluate.nab_layout import load_nab
from workbench.evaluate.static_rule import static_scores


def windowed_gaussian(value: Block) -> Block:
    """Return two-sided normal probabilities of each value by the mean and deviation of all before it."""
    from scipy.special import erfc

    x, count = value - value[0], np.arange(1, len(value) + 1)
    mean = np.cumsum(x) / count
    spread = np.sqrt(np.maximum(np.cumsum(x * x) / count - mean * mean, 0))
    spread[spread == 0] = 1e-6
    return np.round(np.append(0.0, 1 - 0.5 * erfc(np.abs(x[1:] - mean[:-1]) / spread[:-1] / np.sqrt(2))), 12)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> LabelledSet:
    return load_nab(shared_data / "detect")


@pytest.fixture(scope="module")
def gaussian(real: LabelledSet) -> dict[str, Block]:
    assert max(len(one.time) for one in real.series) < 6400  # the window of the published detector
    return {one.key: windowed_gaussian(one.value) for one in real.series}


def test_published_figures(real: LabelledSet, gaussian: dict[str, Block]) -> None:
    assert (len(real.series), count_windows(real.series), real.skipped) == (34, 50, [])
    assert real.weights == {name: (p.hit, p.miss, p.false_row) for name, p in PROFILES.items()}
    found = [best(real.series, gaussian, PROFILES[name]) for name in ("standard", "low_fp", "low_fn")]
    assert [round(one.score, 2) for one in found] == [35.02, 16.66, 43.35]
    for one, profile in zip(found, PROFILES.values(), strict=True):
        assert score_at(real.series, gaussian, one.threshold, profile) == pytest.approx(one.score)


def test_silence_is_zero(real: LabelledSet) -> None:
    silent = {one.key: np.zeros(len(one.time)) for one in real.series}
    for profile in PROFILES.values():
        found = best(real.series, silent, profile)
        assert (found.score, found.threshold) == (0.0, np.inf)


def test_perfect_is_a_hundred(real: LabelledSet) -> None:
    perfect = {one.key: np.zeros(len(one.time)) for one in real.series}
    for one in real.series:
        perfect[one.key][one.windows[:, 0]] = 1.0
    assert best(real.series, perfect, PROFILES["standard"]).score == pytest.approx(100.0)
    events = count_events(real, perfect, 1.0)
    assert (events.found, events.missed, events.false_episodes, events.f1, events.delay_steps) == (50, 0, 0, 1.0, 0.0)


def test_events_of_the_windowed_gaussian(real: LabelledSet, gaussian: dict[str, Block]) -> None:
    events = count_events(real, gaussian, best(real.series, gaussian, PROFILES["standard"]).threshold)
    assert (events.windows, events.found, events.missed) == (50, 30, 20)
    assert events.row_fpr == pytest.approx(0.0020, abs=5e-5)
    assert 0.2 < mean_vus_pr(real.series, gaussian) < 0.35


def test_left_out_and_static_rule(real: LabelledSet, gaussian: dict[str, Block]) -> None:
    profile = PROFILES["standard"]
    plain = static_scores(real.series, keep_all)
    found = best(real.series, plain, profile)
    assert (round(found.score, 1), round(found.threshold)) == (16.3, 32)
    held = static_scores(real.series, usual_hold())
    assert best(real.series, held, profile).score > 40
    left = leave_out(real.series, {"static": plain, "gaussian": gaussian}, profile)
    assert left is not None
    assert left.score < 35.02
    assert {fold.category for fold in left.folds} == {one.category for one in real.series}


@st.composite
def files(draw: st.DrawFn) -> list[tuple[LabelledSeries, Block]]:
    """Return up to three short files: scores with many ties, up to three windows apart from each other, a probation."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 40))
        cuts = sorted(draw(st.sets(st.integers(0, count - 1), max_size=6)))
        windows = list(zip(cuts[::2], cuts[1::2], strict=False))
        if len(cuts) % 2:
            windows.append((cuts[-1], cuts[-1]))
        score = draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0, -1.0]), min_size=count, max_size=count))
        one = series(f"c{number}/f.csv", count, windows, draw(st.integers(0, count)))
        made.append((one, np.array(score)))
    return made


@given(files(), st.sampled_from([*PROFILES.values(), Profile(2.0, 0.5, 0.3)]))
def test_the_sweep_equals_row_by_row(made: list[tuple[LabelledSeries, Block]], profile: Profile) -> None:
    rows = [one for one, _ in made]
    scores = {one.key: score for one, score in made}
    plain = [(score.tolist(), [tuple(w) for w in one.windows.tolist()], one.probation) for one, score in made]
    windows = count_windows(rows)
    thresholds, raw = sweep(contributions(rows, scores, profile), windows, profile)
    for threshold, found in zip(thresholds.tolist(), raw.tolist(), strict=True):
        slow = naive.nab_raw(plain, threshold, profile.hit, profile.miss, profile.false_row)
        assert found == pytest.approx(slow, abs=1e-9)
    every = [
        naive.nab_raw(plain, t, profile.hit, profile.miss, profile.false_row) for t in (0.1, 0.2, 0.5, 0.9, 1.0, 9)
    ]
    if windows:
        top = best(rows, scores, profile)
        null = -profile.miss * windows
        assert top.score == pytest.approx(100 * (max(every) - null) / (profile.hit * windows - null), abs=1e-9)
        assert score_at(rows, scores, 0.3, profile) == pytest.approx(
            100 * (naive.nab_raw(plain, 0.3, profile.hit, profile.miss, profile.false_row) - null) / (profile.hit * windows - null),
            abs=1e-9,
        )  # fmt: skip


def test_no_windows_no_score() -> None:
    one = series("c/f.csv", 30, [])
    scores = {"c/f.csv": np.ones(30)}
    assert np.isnan(best([one], scores, Profile()).score)
    assert best([one], scores, Profile()).threshold == np.inf
    assert np.isnan(score_at([one], scores, 0.5, Profile()))
    assert np.isnan(best([], {}, Profile()).score)


def test_leaving_out_takes_choice_and_threshold_from_the_others() -> None:
    rows = [series(f"{name}/f.csv", 60, [(40, 49)], 5) for name in "abc"]
    steady = {one.key: np.where(np.arange(60) == 40, 0.5, 0.1) for one in rows}
    # Perfect on b and c, false on a: a must be judged by what the others choose, which is this one.
    tempting = {one.key: np.where(np.arange(60) == (10 if one.category == "a" else 40), 0.9, 0.0) for one in rows}
    left = leave_out(rows, {"tempting": tempting, "steady": steady}, Profile())
    assert left is not None
    folds = {fold.category: fold for fold in left.folds}
    assert (folds["a"].choice, folds["a"].windows) == ("tempting", 1)
    assert 0.8 < folds["a"].threshold < 0.9
    assert folds["a"].raw == pytest.approx(-1.11)
    assert folds["b"].choice == "steady"
    assert folds["b"].raw == pytest.approx(1.0)
    assert 0.1 < left.thresholds["b"] == left.thresholds["c"] < 0.5
    assert leave_out(rows[:1], {"steady": steady}, Profile()) is None
    assert leave_out(rows, {}, Profile()) is None


def test_a_steady_threshold_lies_where_its_neighbours_score_too() -> None:
    """A narrow peak at 0.9 earns a little more than the broad plateau from 0.3 to 0.6."""
    profile = Profile()
    score = np.array([0.9, 0.89, 0.6, 0.3])
    gain = np.array([1.3, -1.0, 0.9, -0.5])
    assert best_of([(score, gain)], 2, profile).threshold == 0.9
    found = steady([(score, gain)], 2, profile)
    assert found.threshold == pytest.approx(np.sqrt(0.6 * 0.3))
    assert found.score == pytest.approx(100 * (1.3 - 1.0 + 0.9) / 4)
    assert steady([], 0, profile).threshold == np.inf
    assert steady([(np.array([0.5]), np.array([-1.0]))], 1, profile).threshold == np.inf
