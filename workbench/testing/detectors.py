"""What every detector of the group `workbench.detectors` keeps: shape, causality, independence of series, direction."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from workbench.testing.require import require

__all__ = ["Detector", "check_detector"]

Block = npt.NDArray[np.float64]


class Detector(Protocol):
    """A frozen dataclass of parameters with one method."""

    name: ClassVar[str]

    def score(self, values: Block) -> Block:
        """Return how surprising each value is, float64 of the same shape (n, t), high = anomalous."""
        ...


def check_detector(detector: Detector, seed: int = 0) -> None:
    """Check one detector.

    Scores are float64 of the shape of the values, at least 0, NaN where there is no sample; alike every time, leaving
    the input alone; causal (later samples change nothing); one series does not depend on its neighbours; a jump of
    twenty standard deviations scores above all but few of the quiet samples. No series, no steps, gaps and infinities
    are allowed.

    Raises
    ------
    AssertionError
        With the first promise that does not hold.
    """
    require(isinstance(getattr(detector, "name", None), str), f"{type(detector).__name__} has no name.")
    require(
        getattr(getattr(detector, "__dataclass_params__", None), "frozen", False) is True,
        f"{detector.name} is not a frozen dataclass; its fields must be its only state.",
    )
    values = _values(seed)
    scores = _score(detector, values)
    _check_independence(detector, values, scores)
    _check_direction(detector, values, scores)
    for shape in ((0, 10), (3, 0), (1, 1)):
        _score(detector, np.zeros(shape))
    _score(detector, np.full((2, 300), np.nan))
    _score(detector, np.where(np.arange(600) % 97 == 0, np.inf, values[:1]))


def _values(seed: int) -> Block:
    """Return 6 series of 600 steps: noise on several levels, a season, a counter-like ramp, gaps."""
    generator = np.random.default_rng(seed)
    values: Block = generator.normal(0.0, 1.0, (6, 600)) + np.array([[0.0], [100.0], [-5.0], [50.0], [10.0], [0.0]])
    values[3] += 10 * np.sin(np.arange(600) / 600 * 2 * np.pi * 12)
    values[4] += np.arange(600) * 0.01
    values[5, generator.random(600) < 0.3] = np.nan
    return values


def _score(detector: Detector, values: Block) -> Block:
    given = values.copy()
    scores: Block = np.asarray(detector.score(values))
    name = detector.name
    require(np.array_equal(given, values, equal_nan=True), f"{name} changed its input.")
    require(
        scores.shape == values.shape and scores.dtype == np.float64,
        f"{name} scored shape {values.shape} as {scores.dtype} of shape {scores.shape}; it must be float64, the same.",
    )
    require(not (scores < 0).any() and not np.isinf(scores).any(), f"{name} gave a negative or infinite score.")
    require(bool(np.isnan(scores[np.isnan(values)]).all()), f"{name} scored a sample that is not there.")
    require(
        np.array_equal(scores, detector.score(values), equal_nan=True), f"{name} scored differently the second time."
    )
    return scores


def _check_independence(detector: Detector, values: Block, scores: Block) -> None:
    for end in (50, 333, 599):
        prefix = detector.score(values[:, :end])
        require(
            np.allclose(prefix, scores[:, :end], rtol=1e-9, atol=1e-9, equal_nan=True),
            f"{detector.name} is not causal: the first {end} scores change when later samples come.",
        )
    order = np.arange(len(values))[::-1]
    for rows in (order, order[:1], order[2:4]):
        require(
            np.allclose(detector.score(values[rows]), scores[rows], rtol=1e-9, atol=1e-9, equal_nan=True),
            f"{detector.name} scores a series differently beside other series.",
        )


def _check_direction(detector: Detector, values: Block, scores: Block) -> None:
    jumped = values.copy()
    jumped[:, 500:] += 20.0
    after = np.nanmax(detector.score(jumped)[:3, 500:520], axis=1)
    quiet = np.nanquantile(scores[:3, 300:], 0.99, axis=1)
    require(
        bool((after > quiet).all()),
        f"{detector.name} scores a jump of twenty standard deviations {np.round(after, 2)}, below its quiet samples"
        f" {np.round(quiet, 2)}: high must mean anomalous.",
    )
