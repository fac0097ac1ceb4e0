"""The level-shift detector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests import naive
from workbench.detect import LevelShift, episodes, expected
from workbench.detect.season import find_period, seasonal_median
from workbench.errors import InvalidInput, ShapeError

VALUES = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan")), st.sampled_from([0.0, 1.0, 2.0]))
BLOCKS = st.integers(0, 80).flatmap(lambda t: arrays(np.float64, (2, t), elements=VALUES))


def noise(n: int, t: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 5, (n, t))


@settings(max_examples=60)
@given(BLOCKS, st.integers(1, 3), st.sampled_from([0, 5, 60]))
def test_scores_are_those_of_the_sample_by_sample_twin(block: np.ndarray, recent: int, hold: int) -> None:
    detector = LevelShift(window=20, warmup=6, recent=recent, memory=30, hold=hold, period=0)
    twin = [naive.level_scores(row.tolist(), 20, 6, recent, 30, hold) for row in block]
    np.testing.assert_allclose(detector.surprise(block), np.array(twin).reshape(block.shape), rtol=1e-6, atol=1e-9)


@settings(max_examples=40)
@given(BLOCKS, st.integers(0, 80))
def test_no_score_depends_on_later_samples(block: np.ndarray, cut: int) -> None:
    detector = LevelShift(window=20, warmup=6, memory=30)
    np.testing.assert_array_equal(detector.surprise(block)[:, :cut], detector.surprise(block[:, :cut]))


def test_no_score_depends_on_later_samples_with_a_season() -> None:
    t = np.arange(400)
    block = noise(4, 400) + np.array([[0.0], [40], [40], [40]]) * np.sin(
        2 * np.pi * t / np.array([[24], [24], [50], [90]])
    )
    block[3, 300:] += 80
    whole, band = LevelShift().surprise(block), expected(block)
    for cut in (49, 100, 133, 301, 399):
        np.testing.assert_array_equal(whole[:, :cut], LevelShift().surprise(block[:, :cut]))
        np.testing.assert_array_equal(band[1][:, :cut], expected(block[:, :cut])[1])


@settings(max_examples=40)
@given(BLOCKS)
def test_a_series_is_scored_alone(block: np.ndarray) -> None:
    both = LevelShift(warmup=6, window=20).surprise(block)
    np.testing.assert_array_equal(both[1:], LevelShift(warmup=6, window=20).surprise(block[1:]))


def test_a_shift_after_thirty_samples_is_found_within_two_steps() -> None:
    block = np.random.default_rng(2).lognormal(0, 0.2, (200, 60))
    block[:, 30:] *= 4
    scores = LevelShift().surprise(block)
    assert (scores[:, 31:34] > 4).any(axis=1).mean() > 0.95
    assert not (scores[:, :30] > 4).any()


def test_a_long_shift_stays_surprising_while_it_is_held_out_and_becomes_normal_later() -> None:
    block = noise(20, 500)
    block[:, 100:] += 100
    scores = LevelShift(hold=60).surprise(block)
    assert (scores[:, 102:150] > 4).all()
    assert not (scores[:, 400:] > 4).any()


def test_quiet_noise_gives_next_to_no_alarms() -> None:
    scores = LevelShift().surprise(noise(300, 720))
    assert np.nanmean(scores > 4) < 1e-4
    assert 0.05 < np.nanmean(scores > 1) < 0.2


def test_flat_series_do_not_explode_on_small_changes() -> None:
    block = np.full((3, 100), 10.0)
    block[1, 50:] = 10.4
    block[2, 50:] = 20.0
    scores = LevelShift().surprise(block)
    assert np.nanmax(scores[:2]) < 2
    assert np.nanmax(scores[2]) > 10


def test_a_series_in_steps_does_not_alarm_on_one_step() -> None:
    block = np.tile([1.0, 1, 1, 2, 1, 1], 20)[None, :].repeat(2, axis=0)
    block[1, 60:] = 9
    scores = LevelShift(period=0).surprise(block)
    assert np.nanmax(scores[0]) < 4
    assert np.nanmax(scores[1]) > 4


def test_missing_samples_give_no_score_and_poison_nothing() -> None:
    block = noise(2, 200)
    holes = block.copy()
    holes[0, ::7] = np.nan
    holes[1, 50:90] = np.nan
    scores = LevelShift().surprise(holes)
    assert np.isnan(scores[np.isnan(holes)]).all()
    assert np.isfinite(scores[0, 30:][np.isfinite(holes[0, 30:])]).all()
    assert np.isfinite(scores[1, 95:]).all()
    assert not (scores > 4).any()
    assert np.isnan(LevelShift().surprise(np.full((2, 50), np.nan))).all()
    infinite = LevelShift().surprise(np.where(np.isnan(holes), np.inf, holes))
    np.testing.assert_array_equal(infinite, scores)


def test_a_season_is_found_and_taken_off() -> None:
    t = np.arange(480)
    block = noise(10, 480) + 60 * np.sin(2 * np.pi * t / 48)
    plain, seasonal = LevelShift(period=0), LevelShift()
    center, low, high = seasonal.expected(block)
    assert (high - low)[:, 300:].mean() < 0.5 * np.subtract(*plain.expected(block)[:0:-1])[:, 300:].mean()
    assert np.abs(center - block)[:, 300:].mean() < 8
    # A level usual at noon is an alarm at midnight.
    block[:, 420:426] = 155
    assert (seasonal.surprise(block)[:, 421:426] > 4).any(axis=1).all()
    np.testing.assert_array_equal(find_period(block[:, :400]), 48)


@given(arrays(np.float64, (1, 40), elements=VALUES), st.integers(3, 20), st.integers(0, 39))
def test_seasonal_median_reads_the_same_phase(block: np.ndarray, period: int, at: int) -> None:
    found = seasonal_median(block, np.array([at]), period)[0, 0]
    np.testing.assert_allclose(found, naive.seasonal_median(block[0].tolist(), at, period))


def test_no_period_in_noise_or_in_short_histories() -> None:
    assert (find_period(noise(50, 300)) > 0).mean() < 0.1
    assert find_period(noise(3, 10)).tolist() == [0, 0, 0]
    assert find_period(np.full((1, 100), np.nan)).tolist() == [0]


def test_the_band_is_left_where_the_score_passes_the_threshold() -> None:
    block = noise(20, 300)
    block[:, 200:] += np.linspace(0, 60, 100)
    detector = LevelShift(recent=1)
    scores = detector.surprise(block)
    _, low, high = detector.expected(block, threshold=4)
    known = np.isfinite(scores)
    outside = (block < low) | (block > high)
    np.testing.assert_array_equal(outside[known], scores[known] > 4)


def test_direction() -> None:
    block = noise(2, 100)
    block[0, 50:] += 80
    block[1, 50:] -= 80
    up, down = LevelShift(direction="up").surprise(block), LevelShift(direction="down").surprise(block)
    assert np.nanmax(up[0]) > 4
    assert np.nanmax(up[1]) < 4
    assert np.nanmax(down[0]) < 4
    assert np.nanmax(down[1]) > 4


def test_many_series_in_chunks_are_scored_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    block = noise(30, 60)
    whole = LevelShift().surprise(block)
    monkeypatch.setattr("workbench.detect.level._CELLS", 300)
    np.testing.assert_array_equal(LevelShift().surprise(block), whole)


@pytest.mark.parametrize(
    "options",
    [{"window": 5}, {"recent": 0}, {"period": 2}, {"direction": "left"}, {"hold": -1}, {"floor": float("nan")}],
)
def test_parameters_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        LevelShift(**options)  # type: ignore[arg-type]


def test_wrong_shapes_and_empty_blocks() -> None:
    with pytest.raises(ShapeError, match="series, time"):
        LevelShift().surprise(np.zeros(5))
    with pytest.raises(InvalidInput, match="too low for a band"):
        expected(np.zeros((1, 5)), threshold=1)
    assert LevelShift().surprise(np.zeros((0, 5))).shape == (0, 5)
    assert LevelShift().surprise(np.zeros((3, 0))).shape == (3, 0)


def test_labelled_anomalies_are_found_without_tuning(shared_data: Path) -> None:
    """One configuration for all files: windows of the labels hit, false episodes per week of five-minute rows."""
    folder = shared_data / "detect" / "nab"
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    hits, labelled, false, weeks = 0, 0, 0, 0.0
    for path in sorted((folder / "data").rglob("*.csv")):
        table = pd.read_csv(path, parse_dates=["timestamp"])
        time, values = table["timestamp"].to_numpy(), table["value"].to_numpy(np.float64)
        begin = min(int(0.15 * len(values)), 750)
        scores = LevelShift(window=288, memory=1440, recent=1).surprise(values[None, :])
        found = episodes(scores, 6.0, refractory=60)
        spans = [np.array(pair, "datetime64[ns]") for pair in windows[f"{path.parent.name}/{path.name}"]]
        inside = np.zeros(len(values), bool)
        for first, last in spans:
            inside |= (time >= first) & (time <= last)
            hits += any(
                ((time[a:b] >= first) & (time[a:b] <= last)).any() for a, b in found[["start", "end"]].to_numpy()
            )
        labelled += len(spans)
        false += sum(a >= begin and not inside[a:b].any() for a, b in found[["start", "end"]].to_numpy())
        weeks += (len(values) - begin) / 2016
    assert labelled == 50
    assert hits >= 32, f"{hits} of 50 windows"
    assert false / weeks < 3, f"{false / weeks:.2f} false episodes per week"


def test_the_largest_floats_do_not_overflow() -> None:
    block = np.where(np.arange(400) % 2, 1e308, -1e308)[None]
    assert not np.isinf(LevelShift().surprise(block)).any()
