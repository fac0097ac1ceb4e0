"""The compiled loops of detection beside their slow, obvious twins, on small random series."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive
from workbench.detect import kernels
from workbench.detect.calibration import Calibration
from workbench.detect.detector import Detector
from workbench.detect.members.agile import Agile
from workbench.detect.members.change import Change
from workbench.detect.members.entity import Entity
from workbench.detect.members.forest import Forest
from workbench.detect.members.profile import Profile
from workbench.detect.members.spectral import Spectral
from workbench.detect.members.subspace import Subspace
from workbench.detect.members.zprofile import ZProfile

few = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(["noise", "steps", "flat"])


def series(seed: int, kind: str, columns: int, rows: int = 2) -> np.ndarray:
    """Noise, few different values with many ties, or stretches that stand still; with gaps, the first row at its start."""
    draw = np.random.default_rng(seed)
    values = draw.normal(10.0, 3.0, (rows, columns))
    if kind == "steps":
        values = np.round(values / 3)
    if kind == "flat":
        values = np.repeat(values[:, ::12], 12, axis=1)[:, :columns]
    values[draw.random(values.shape) < 0.1] = np.nan
    values[0, :5] = np.nan
    return values


def strange(detector: Detector, values: np.ndarray) -> tuple[np.ndarray, ...]:
    return detector.strange(detector.begin(len(values), 300.0), 0, 300.0, values)


def same(found: np.ndarray, twin: list[list[float]], rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(found, np.array(twin).reshape(found.shape), rtol=rtol, atol=1e-9)


@few
@given(SEEDS, st.sampled_from([(5, 120.0, 20_000.0, 0.05), (8, 6.0, 40.0, 0.0), (4, 9.0, 60.0, 0.3)]))
def test_calibration(seed: int, how: tuple[int, float, float, float]) -> None:
    least, most, memory, share = how
    draw = np.random.default_rng(seed)
    values = np.exp(draw.normal(0, draw.choice([0.5, 4.0, 12.0]), (2, 120)))
    values[draw.random(values.shape) < 0.1] = np.nan
    values[draw.random(values.shape) < 0.1] = 0.0
    made = Calibration(least=least, most=int(most), memory=int(memory), share=share, quantile=0.9)
    twin = [naive.surprises(row, least, 0.9, int(most), 0.3, 20.0, share, int(memory), 8.0) for row in values.tolist()]
    same(made.apply(made.begin(2), values), twin)


@few
@given(SEEDS)
def test_the_edge_of_a_calibration_is_where_its_surprise_is_reached(seed: int) -> None:
    values = np.exp(np.random.default_rng(seed).normal(0, 2, (1, 80)))
    made, edge = Calibration(least=20), np.full((1, 80), np.nan)
    made.apply(made.begin(1), values, edge, 3.0)
    for column in (25, 50, 79):
        again = values[:, : column + 1].copy()
        again[0, column] = edge[0, column]
        assert made.apply(made.begin(1), again)[0, column] == pytest.approx(3.0, rel=1e-6)


@few
@given(SEEDS, KINDS, st.sampled_from([(1, 144, 200), (2, 5, 120), (1, 30, 250)]))
def test_season(seed: int, kind: str, grid: tuple[int, int, int]) -> None:
    per, slots, columns = grid
    values = series(seed, kind, columns)
    state = [np.full((2, 8 * slots), np.nan), np.zeros((2, 2)), np.zeros((2, 15)), np.zeros(2, np.int64)]
    state += [np.zeros((2, 4)), np.zeros((2, 8))]
    out = [np.empty_like(values) for _ in range(3)]
    favour = np.array([2.0, 2.0, 1.0, 1.5])
    kernels.season(values, 0, per, slots, 0.07, favour, 1 / 20, 1 / 60, *state, *out)
    twins = [
        naive.seasonal_distances(row, per, slots, 0.07, favour.tolist(), 1 / 20, 1 / 60) for row in values.tolist()
    ]
    for found, twin in zip(out, zip(*twins, strict=True), strict=True):
        same(found, list(twin), rtol=1e-7)


@few
@given(SEEDS, KINDS, st.sampled_from([(1, 6, 1, 2), (3, 4, 0, 3), (2, 7, 3, 1)]))
def test_envelope(seed: int, kind: str, how: tuple[int, int, int, int]) -> None:
    per, blocks, reach, days = how
    values = series(seed, kind, 100)
    low, out = np.full((2, (days + 1) * blocks), np.inf), np.empty_like(values)
    kernels.envelope(values, 0, per, blocks, reach, low, -low, out)
    same(out, [naive.outside_range(row, per, blocks, reach, days) for row in values.tolist()])


@few
@given(SEEDS, KINDS)
def test_change(seed: int, kind: str) -> None:
    values = series(seed, kind, 70)
    twins = [naive.shift_and_spread(row, 4, 11, 5) for row in values.tolist()]
    for found, twin in zip(strange(Change(short=4, long=11, lags=5), values), zip(*twins, strict=True), strict=True):
        same(found, list(twin))


@few
@given(SEEDS, KINDS)
def test_profiles(seed: int, kind: str) -> None:
    values = series(seed, kind, 80)
    for detector, m, normal in ((Profile(length=16, history=64), 16, False), (ZProfile(length=8, history=40), 8, True)):
        (found,) = strange(detector, values)
        same(found, [naive.nearest_stretches(row, m, detector.history, normal=normal) for row in values.tolist()], 1e-7)


@few
@given(SEEDS, KINDS, st.sampled_from([1.0, 4.5, 30.0]))
def test_agile(seed: int, kind: str, span: float) -> None:
    values = series(seed, kind, 60)
    same(strange(Agile(span=span), values)[0], [naive.agile_distances(row, span) for row in values.tolist()])


@few
@given(SEEDS, KINDS)
def test_saliency(seed: int, kind: str) -> None:
    values = series(seed, kind, 40)
    (found,) = strange(Spectral(length=16, ahead=3, near=4), values)
    same(found, [naive.saliencies(row, 16, 3, 4) for row in values.tolist()], rtol=1e-6)


@few
@given(SEEDS, KINDS, st.sampled_from([0.01, 0.1, 2.0]))
def test_subspace(seed: int, kind: str, share: float) -> None:
    values = series(seed, kind, 70)
    (found,) = strange(Subspace(length=4, history=24, every=9, share=share), values)
    for row, filled in zip(found, map(np.array, map(naive.held, values.tolist())), strict=True):
        first = int(np.isnan(filled).sum())
        for t in range(70):
            learnt = t // 9 * 9
            if learnt - first < 16:
                assert np.isnan(row[t])
            elif not np.isnan(row[t]):
                past = np.lib.stride_tricks.sliding_window_view(filled[max(first, learnt - 24) : learnt], 4)
                assert row[t] == pytest.approx(
                    naive.unexplained(past, filled[t - 3 : t + 1], share), rel=1e-6, abs=1e-6
                )


@few
@given(SEEDS, st.integers(2, 7))
def test_entity(seed: int, metrics: int) -> None:
    draw = np.random.default_rng(seed)
    values = np.outer(draw.normal(0, 3, metrics), np.cumsum(draw.normal(0, 1, 60))) + draw.normal(0, 1, (metrics, 60))
    values[draw.random(values.shape) < 0.05] = np.nan
    (found,) = strange(Entity(history=32, every=20), values)
    for t in range(20, 60):
        past = values[:, max(0, t // 20 * 20 - 32) : t // 20 * 20]
        np.testing.assert_allclose(found[:, t], naive.apart(past, values[:, t], 3), rtol=1e-6, atol=1e-6)


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_the_forest_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.ensemble import IsolationForest

    draw = np.random.default_rng(seed)
    past, new = draw.normal(0, 1, (2, 40, 4)), draw.normal(0, 2, (2, 30, 4)).round(1)
    forest = Forest(length=4, samples=40, sample=16, trees=7)
    state = forest.untaught(2)
    forest.teach(state, np.arange(2), past)
    found = forest.judge(state, new)
    usual = 2 * (np.log(15) + np.euler_gamma) - 2 * 15 / 16
    for row in range(2):
        library = IsolationForest(n_estimators=7, max_samples=16, random_state=0).fit(past[row].astype(np.float32))
        depth = -np.log2(-library.score_samples(new[row].astype(np.float32))) * usual
        np.testing.assert_allclose(found[row], 2.0**-depth, rtol=1e-5)


CHECKED = """
import numpy as np
from tests.detect import member_properties as keeps
from workbench import registry
from workbench.detect.members.learned import Learned
from workbench.detect.refractory import Refractory
from workbench.detect import learned_kernels as learned
right = 0
for name in registry.BUILTINS["workbench.detectors"]:
    if name in keeps.DEEP:
        continue
    detector = keeps.small(name)
    for values in (*keeps.bad_input().values(), keeps.noise(1), keeps.noise(2, columns=300)):
        whole = detector.score(values, step=keeps.STEP)
        Refractory().apply(np.nan_to_num(whole), step=keeps.STEP)
        assert np.array_equal(keeps.in_pieces(detector, values, [20, 21, 55], resume=True), whole, equal_nan=True)
        right += 1
draw = np.random.default_rng(0)
windows, out = draw.normal(0, 1, (2, 5, 6)), np.empty((2, 5))
shapes = ((8,), (8, 2), (8,), (2,), (1,)), ((2, 6), (2,), (6, 2), (6,))
for kernel, sizes in zip((learned.lstm, learned.autoencoder), shapes):
    kernel(windows, *(draw.normal(0, 1, (2, *size)) for size in sizes), out)
    assert np.isfinite(out).all()
print("right", right)
"""


@pytest.mark.slow
def test_no_kernel_leaves_its_arrays(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    setting: dict[str, Any] = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    setting["PYTHONPATH"] = str(root)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", CHECKED],
        env=setting, capture_output=True, text=True, timeout=600, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[0] == "right"
    assert int(done.stdout.split()[1]) >= 100
