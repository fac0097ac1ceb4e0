"""What every built-in detector keeps, and small ones of each to hold to it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from workbench import registry
from workbench.detect.calibration import Calibration
from workbench.detect.detector import Detector, Stream
from workbench.detect.members.change import Change
from workbench.detect.members.profile import Profile
from workbench.detect.members.seasonal import Envelope, Seasonal

DEEP = ("autoencoder", "lstm")
_LEARNED: dict[str, Any] = {"length": 4, "history": 48, "every": 20, "samples": 16}
SMALL: dict[str, dict[str, Any]] = {
    "watchdog": {"members": (Envelope(), Seasonal(), Change(short=3, long=12, lags=4), Profile(length=8, history=40))},
    "change": {"short": 3, "long": 12, "lags": 4},
    "profile": {"length": 8, "history": 40},
    "zprofile": {"length": 8, "history": 40},
    "spectral": {"length": 16, "ahead": 2, "near": 5},
    "subspace": {"length": 4, "history": 40, "every": 7},
    "entity": {"history": 16, "every": 7},
    "forest": {**_LEARNED, "trees": 3, "sample": 8},
    "lstm": {**_LEARNED, "hidden": 2, "rounds": 4},
    "autoencoder": {**_LEARNED, "hidden": 2, "rounds": 4},
}
STEP = 14_400.0
"""Seconds between columns: six make a day, so that a few days fit into a few columns."""


def small(name: str) -> Detector:
    kind = registry.load("workbench.detectors", name)
    made: Detector = kind(**SMALL.get(name, {}), calibration=Calibration(least=6))
    return made


def noise(seed: int, series: int = 3, columns: int = 90, gaps: float = 0.1, level: float = 20.0) -> np.ndarray:
    """Noise on a daily wave and two spikes, with gaps."""
    draw = np.random.default_rng(seed)
    values = draw.normal(level, 2.0, (series, columns)) + 5 * np.sin(np.arange(columns) / 6 * 2 * np.pi)
    values[:, draw.integers(columns // 2, columns, 2)] += draw.normal(0, 40, (series, 2))
    values[draw.random(values.shape) < gaps] = np.nan
    return values


def scores_of(detector: Detector, stream: Stream, values: np.ndarray) -> np.ndarray:
    from workbench.detect.surprise import to_score

    return to_score(detector.combine(stream.parts(values), stream.step))


def through_a_file(detector: Detector, stream: Stream) -> Stream:
    kept = io.BytesIO()
    np.savez(kept, **stream.arrays())
    kept.seek(0)
    with np.load(kept, allow_pickle=False) as arrays:
        return detector.resume(arrays)


def in_pieces(detector: Detector, values: np.ndarray, cuts: list[int], *, resume: bool) -> np.ndarray:
    """Scores of a stream that is given the columns between cuts at once, kept in a file at each cut if so wished."""
    stream = detector.stream(len(values), step=STEP)
    found = [np.empty((len(values), 0))]
    for piece in np.split(values, sorted(cuts), axis=1):
        found.append(scores_of(detector, stream, piece))
        if resume:
            stream = through_a_file(detector, stream)
    return np.concatenate(found, axis=1)


def check_pieces(detector: Detector, values: np.ndarray, cuts: list[int]) -> None:
    whole = detector.score(values, step=STEP)
    np.testing.assert_array_equal(in_pieces(detector, values, cuts, resume=False), whole)
    np.testing.assert_array_equal(in_pieces(detector, values, cuts, resume=True), whole)
    for cut in cuts[:1]:
        np.testing.assert_array_equal(detector.score(values[:, :cut], step=STEP), whole[:, :cut])
        later = np.concatenate([values[:, :cut], -3 * values[:, cut:]], axis=1)
        np.testing.assert_array_equal(detector.score(later, step=STEP)[:, :cut], whole[:, :cut])


def check_scale(detector: Detector, values: np.ndarray, factor: float) -> None:
    expected = detector.score(values, step=STEP)
    np.testing.assert_allclose(detector.score(values * factor, step=STEP), expected, rtol=1e-6, atol=1e-9)


def check_order(detector: Detector, values: np.ndarray, order: list[int]) -> None:
    expected = detector.score(values, step=STEP)[order]
    np.testing.assert_allclose(detector.score(values[order], step=STEP), expected, rtol=1e-9, atol=1e-12)


def check_growth(detector: Detector, values: np.ndarray, at: int) -> None:
    """A series that joins later is one whose samples before were missing, and changes nothing for those there were."""
    stream = detector.stream(len(values) - 1, step=STEP)
    first = scores_of(detector, stream, values[:-1, :at])
    stream.grow(1)
    assert len(stream) == len(values)
    both = np.concatenate([first, scores_of(detector, stream, values[:, at:])[:-1]], axis=1)
    late = scores_of(detector, detector.resume(stream.arrays()), values[:, :0])
    assert late.shape == (len(values), 0)
    joined = values.copy()
    joined[-1, :at] = np.nan
    whole = detector.score(joined, step=STEP)
    np.testing.assert_array_equal(both, whole[:-1])


def bad_input() -> dict[str, np.ndarray]:
    t = np.arange(90.0)
    wave = 10 + np.sin(t)
    jumps = np.where(t < 60, wave, 1e308)
    return {
        "constant": np.full((2, 90), 7.25),
        "zero": np.zeros((2, 90)),
        "no series": np.zeros((0, 90)),
        "no columns": np.zeros((3, 0)),
        "all NaN": np.full((2, 90), np.nan),
        "two samples": np.where((t == 3) | (t == 80), wave, np.nan)[None],
        "a gap of days": np.where((t > 30) & (t < 80), np.nan, wave)[None],
        "a counter that restarts": (t % 37 * 1e6)[None],
        "a unit that changes": np.where(t < 60, wave, 1000 * wave)[None],
        "huge": np.stack([jumps, np.full(90, 1e308), np.where(t % 2, 1e308, -1e308), np.where(t == 50, -1e308, wave)]),
        "denormal": np.stack([t * 5e-324, np.where(t < 60, wave, 5e-324), np.where(t < 9, 5e-324, wave)]),
        "infinite": np.stack([np.where(t == 50, np.inf, wave), np.where(t > 60, -np.inf, wave), np.full(90, np.inf)]),
        "constant, then not": np.where(t < 60, 3.0, wave)[None],
    }


def check_bad_input(detector: Detector, values: np.ndarray) -> None:
    given = values.copy()
    scores = detector.score(values, step=STEP)
    np.testing.assert_array_equal(given, values)
    assert scores.shape == values.shape
    assert scores.dtype == np.float64
    assert np.isnan(scores[np.isnan(values)]).all()
    assert not ((scores < 0) | (scores > 1)).any()
    np.testing.assert_array_equal(in_pieces(detector, values, [20, 21, 55], resume=False), scores)
